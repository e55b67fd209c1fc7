# Kernels in virtual machines.
# SPDX-License-Identifier: BSD-2-Clause

VM_ARGS ?=
# Each probe's and guard's own live tests, policies, the hooks, and stacks; vm-all runs every live test there is.
VM_TESTS ?= $(subst $(space),$(comma),$(basename $(notdir $(wildcard $(PROBE_TESTS) tests/live/guard.*.t tests/live/policy*.t tests/live/hooks.t tests/live/stacks.t))))
PROBE_TESTS = $(patsubst $(BUILD)/probes/%.bpf.o,tests/live/%.t,$(PROBE_OBJ))
comma := ,
empty :=
space := $(empty) $(empty)
VM_MATRIX = tests/vm/matrix $(if $(TEST_PROBE_OBJ),--objects $(BUILD)/test-probes) $(VM_ARGS) $(BUILD)/sonda
.PHONY: vm vm-all vm-budgets kernels

vm: setup-test $(BUILD)/sonda $(TEST_PROBE_OBJ) ## every probe on every kernel of tests/vm/kernels, its live test on most
	@tests/vm/selftest
	@$(VM_MATRIX) --tests '$(VM_TESTS)'

vm-all: setup-test $(BUILD)/sonda $(TEST_PROBE_OBJ) ## the same with every live test there is, in each guest
	@$(VM_MATRIX) --everywhere

vm-budgets: setup-test $(BUILD)/sonda $(TEST_PROBE_OBJ) ## the verifier budgets, from what each kernel says of each probe
	@$(VM_MATRIX) --tests '' --update-budgets

kernels: setup-test ## fetch the kernels of the matrix into the cache
	@tests/vm/fetch
