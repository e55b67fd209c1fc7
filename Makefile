# sonda: the only build entry. `make help` lists what there is; nothing here is recursive.
# SPDX-License-Identifier: BSD-2-Clause

BUILD ?= build
VERSION := $(shell cat VERSION)
PREFIX ?= /usr/local
ARGS ?= trace process.exec process.exit net.dns 'fs.open: err != 0'

CC ?= gcc
CLANG ?= $(firstword $(shell command -v clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 2>/dev/null) clang)
BPFTOOL ?= $(firstword $(wildcard /usr/local/sbin/bpftool /usr/lib/linux-tools*/*/bpftool /usr/sbin/bpftool) bpftool)
# clang from 16 on prints nothing
MULTIARCH := $(or $(shell $(CC) -print-multiarch 2>/dev/null),$(shell uname -m)-linux-gnu)
ARCH := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wundef -Wcast-qual -Wwrite-strings -Wpointer-arith -Wimplicit-fallthrough -Wswitch-enum \
	-Wnull-dereference -Wno-missing-field-initializers
CPPFLAGS += -D_GNU_SOURCE -DSONDA_VERSION='"$(VERSION)"' -I. -Isrc -I$(BUILD)/gen -include base/banned.h
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=gnu17 -fno-common $(WARN) $(CFLAGS)
# What runs once, for an order of its user's, is made small; what runs for each event, quick.
SMALL := cmd enforce policy
RELEASE := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fno-asynchronous-unwind-tables -fPIE -ffunction-sections -fdata-sections
LDRELEASE := -static-pie -Wl,-z,relro,-z,now -Wl,-z,pack-relative-relocs -Wl,--gc-sections
LIBS := -l:libbpf.a -lelf -lz -lzstd -llzma -l:libiberty.a
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

LAYERS := base bpf schema transport symbols enrich filter fold sink pipeline policy enforce cmd
SRC := src/main.c $(filter-out %_test.c %.bpf.c,$(foreach d,$(LAYERS),$(sort $(wildcard src/$(d)/*.c))))
TESTS := $(sort $(wildcard src/*/*_test.c))
PROBES := $(sort $(wildcard probes/*/*.bpf.c))
GUARDS := $(sort $(wildcard guards/*.bpf.c))
TEST_PROBES := $(sort $(wildcard tests/data/*.bpf.c))
FUZZERS := $(sort $(wildcard tests/fuzz/*_fuzz.c))

# probes/fs/open.bpf.c -> $(BUILD)/probes/fs.open.bpf.o
probe_object = $(BUILD)/probes/$(subst /,.,$(patsubst probes/%.bpf.c,%,$(1))).bpf.o
PROBE_OBJ := $(foreach p,$(PROBES),$(call probe_object,$(p))) $(GUARDS:guards/%.bpf.c=$(BUILD)/probes/guard.%.bpf.o)
# tests/data/chain.c: its code at fixed addresses, anywhere, without names, with those of libraries only
CHAINS := static pie stripped dynamic
TEST_PROBE_OBJ := $(TEST_PROBES:tests/data/%.bpf.c=$(BUILD)/test-probes/%.bpf.o) $(BUILD)/test-probes/target $(CHAINS:%=$(BUILD)/test-probes/chain-%)
OBJ := $(SRC:%.c=$(BUILD)/obj/%.o)
SAN_OBJ := $(SRC:%.c=$(BUILD)/san/%.o)
UNIT := $(TESTS:src/%.c=$(BUILD)/unit/%)
FUZZ := $(FUZZERS:tests/fuzz/%.c=$(BUILD)/fuzz/%)

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all run test check unit live bench fuzz install uninstall clean help setup setup-test docs docs-check pages probes clang-used

all: $(BUILD)/sonda ## build the binary, build/sonda

run: ## build and show events of this machine (make run ARGS='trace fs.open --comm nginx')
	@tools/setup
	@$(MAKE) --no-print-directory -j$$(nproc) all
	$(BUILD)/sonda $(ARGS)

test: ## everything: checks, unit, live and virtual-machine tests
	@tools/setup
	@tools/setup --test
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tools/test-all

check: ## formatting, layers, sizes, names, forbidden words, shell scripts
	tools/check

setup: ## install what is missing to build and run
	@tools/setup

setup-test: ## install what is missing to test
	@tools/setup --test

probes: $(PROBE_OBJ) ## compile the probes only

clang-used:
	@echo $(CLANG)

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# make V=1 shows the commands
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$@)';)

# --- the binary ---

$(BUILD)/sonda: $(BUILD)/sonda.debug
	@strip -s -o $@ $<

$(BUILD)/sonda.debug: $(OBJ) $(BUILD)/obj/embedded.o
	$(call say,LINK)$(CC) $(CFLAGS) $(RELEASE) $(LDRELEASE) -o $@ $^ $(LIBS)

$(foreach d,$(SMALL),$(filter $(BUILD)/obj/src/$(d)/%,$(OBJ))): RELEASE += -Os
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(RELEASE) -MMD -MP -c -o $@ $<

# The probes' objects and a table of them, as src/pipeline/embedded.h declares it.
EMBED_BASE := $(BUILD)/probes/fs.file.bpf.o
$(BUILD)/gen/embedded.S: tools/embed $(PROBE_OBJ)
	@mkdir -p $(@D)
	@tools/embed $(@D) $(EMBED_BASE) $(PROBE_OBJ) > $@

$(BUILD)/obj/embedded.o: $(BUILD)/gen/embedded.S $(PROBE_OBJ)
	@mkdir -p $(@D)
	@$(CC) -c -o $@ $<

# --- the probes and the guards ---

BPF_CPPFLAGS := -D__TARGET_ARCH_$(ARCH) -I/usr/include/$(MULTIARCH) -I. -Iprobes/include -Iguards/include
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
	-Wno-sign-compare -Wno-missing-field-initializers -fno-ident

define probe_rule
$(call probe_object,$(1)): $(1)
	@mkdir -p $$(@D)
	$$(call say,BPF)$$(CLANG) $$(BPF_CFLAGS) $$(BPF_CPPFLAGS) -MMD -MP -MT $$@ -MF $$(@:.o=.d) -c -o $$@.full $$<
	@$$(BPFTOOL) gen object $$@ $$@.full
	@rm -f $$@.full
endef
$(foreach p,$(PROBES),$(eval $(call probe_rule,$(p))))

define bpf_compile
	@mkdir -p $(@D)
	$(call say,BPF)$(CLANG) $(BPF_CFLAGS) $(BPF_CPPFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@.full $<
	@$(BPFTOOL) gen object $@ $@.full
	@rm -f $@.full
endef
$(BUILD)/probes/guard.%.bpf.o: guards/%.bpf.c
	$(bpf_compile)
$(BUILD)/test-probes/%.bpf.o: tests/data/%.bpf.c
	$(bpf_compile)

# What live tests watch; static, so that a guest can run it.
$(BUILD)/test-probes/target: tests/data/target.c
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(CFLAGS_ALL) -static -o $@ $<

# Programs with known stacks.
chain_static := -static -no-pie -fno-pie
chain_pie := -static-pie -fPIE
chain_stripped := -static -no-pie -fno-pie -s
chain_dynamic := -pie -fPIE -rdynamic -s
$(BUILD)/test-probes/chain-%: tests/data/chain.c
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(CFLAGS_ALL) -O1 -fno-omit-frame-pointer -fno-optimize-sibling-calls $(chain_$*) -o $@ $<

# --- unit tests: address and undefined-behaviour sanitizers ---

$(BUILD)/san/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC-SAN)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -O1 $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/san/libsonda.a: $(filter-out $(BUILD)/san/src/main.o,$(SAN_OBJ)) $(BUILD)/obj/embedded.o
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/unit/%: $(BUILD)/san/src/%.o $(BUILD)/san/libsonda.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(SANITIZE) -o $@ $< $(BUILD)/san/libsonda.a $(LIBS)

unit: all $(UNIT) $(PROBE_OBJ) $(TEST_PROBE_OBJ) ## unit and golden tests, no root needed
	@SONDA=$(abspath $(BUILD)/sonda) SONDA_OBJECTS=$(BUILD)/probes SONDA_TEST_OBJECTS=$(BUILD)/test-probes \
		tools/run-tests unit $(UNIT) tests/golden/run tests/golden/install

live: all $(TEST_PROBE_OBJ) ## live tests on the running kernel (root)
	@SONDA=$(abspath $(BUILD)/sonda) SONDA_TEST_OBJECTS=$(abspath $(BUILD)/test-probes) \
		tools/run-tests live $(sort $(wildcard tests/live/*.t))

bench: all ## speed and cost, as ratios in one run (root)
	@tools/setup --bench
	@SONDA=$(abspath $(BUILD)/sonda) BUILD=$(abspath $(BUILD)) bench/run

# --- fuzzers: one a parser that eats foreign bytes ---

FUZZ_SECONDS ?= 10
$(BUILD)/fuzzobj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC-FUZZ)$(CLANG) $(CPPFLAGS) -std=gnu17 -O1 -g -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/%: $(BUILD)/fuzzobj/tests/fuzz/%.o $(patsubst %.c,$(BUILD)/fuzzobj/%.o,$(filter-out src/main.c,$(SRC))) $(BUILD)/obj/embedded.o
	@mkdir -p $(@D)
	$(call say,LINK)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

fuzz: $(FUZZ) $(PROBE_OBJ) $(TEST_PROBE_OBJ) ## run every fuzzer for FUZZ_SECONDS
	@SONDA_OBJECTS=$(BUILD)/probes tools/run-fuzz $(FUZZ_SECONDS) $(FUZZ)

# --- documents made from the same rows as the program ---

DOCS := events kinds commands verifier policy-words
docs: pages ## docs/events.md and the like, man pages, bash completion
	for d in $(DOCS); do $(BUILD)/sonda help --generate $$d > docs/$$d.md || exit 1; done

pages: all
	@mkdir -p $(BUILD)/man
	$(BUILD)/sonda help --generate man --to $(BUILD)/man
	$(BUILD)/sonda help --generate completion > $(BUILD)/sonda.bash

docs-check: all
	@for d in $(DOCS); do $(BUILD)/sonda help --generate $$d | cmp - docs/$$d.md || \
		{ echo "docs/$$d.md is out of step: make docs"; exit 1; }; done

install: pages ## into PREFIX (/usr/local), with man pages and completion
	install -D -m 755 $(BUILD)/sonda $(DESTDIR)$(PREFIX)/bin/sonda
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/include/sonda/abi
	install -d $(DESTDIR)$(PREFIX)/share/sonda/policies
	install -m 644 policies/*.policy $(DESTDIR)$(PREFIX)/share/sonda/policies/
	install -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -D -m 644 $(BUILD)/sonda.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sonda
	cp -r probes/include/. $(DESTDIR)$(PREFIX)/include/sonda/
	cp abi/*.h $(DESTDIR)$(PREFIX)/include/sonda/abi/

uninstall: ## what install put there
	rm -rf $(DESTDIR)$(PREFIX)/bin/sonda $(DESTDIR)$(PREFIX)/include/sonda $(DESTDIR)$(PREFIX)/share/sonda \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sonda
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/sonda.1 $(DESTDIR)$(PREFIX)/share/man/man1/sonda-*.1

include $(wildcard mk/*.mk)
-include $(OBJ:.o=.d) $(SAN_OBJ:.o=.d) $(TESTS:%.c=$(BUILD)/san/%.d) $(PROBE_OBJ:.o=.d) $(patsubst %.o,%.d,$(filter %.o,$(TEST_PROBE_OBJ)))
-include $(patsubst %.c,$(BUILD)/fuzzobj/%.d,$(FUZZERS) $(SRC))
