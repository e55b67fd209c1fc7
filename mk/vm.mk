# Kernels in virtual machines.
# SPDX-License-Identifier: BSD-2-Clause

VM_ARGS ?=
VM_MATRIX = tests/vm/matrix $(if $(TEST_PROBE_OBJ),--objects $(BUILD)/test-probes) $(VM_ARGS) $(BUILD)/sonda
.PHONY: vm vm-budgets kernels

vm: setup-test $(BUILD)/sonda $(TEST_PROBE_OBJ) ## every probe and live test on every kernel of tests/vm/kernels
	@tests/vm/selftest
	@$(VM_MATRIX)

vm-budgets: setup-test $(BUILD)/sonda $(TEST_PROBE_OBJ) ## the same, and its instructions become the verifier budgets
	@$(VM_MATRIX) --update-budgets

kernels: setup-test ## fetch the kernels of the matrix into the cache
	@tests/vm/fetch
