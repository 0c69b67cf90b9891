# SPDX-License-Identifier: BSD-3-Clause
# Fuzzing: harnesses, replay of the corpora, campaigns. Included by the Makefile.

FUZZ_HARNESSES := header caps stream payload
# H=NAME picks one of them.
FUZZ_SELECTED   = $(or $(H),$(FUZZ_HARNESSES))
FUZZ_O         := build/fuzz
FUZZ_CC        ?= clang
AFL_CC         ?= afl-clang-fast
FUZZ_LLVM      ?= -14

# What each harness is linked with, beside its own file.
FUZZ_COMMON        := fuzz/harness.c fuzz/inputs.c
FUZZ_EXTRA_caps    := fuzz/strictjson.c
FUZZ_EXTRA_payload := fuzz/strictjson.c
FUZZ_EXTRA_stream  := fuzz/reader_small.c
# libFuzzer's own ways and a dictionary do for the 16 bytes of a header, and are faster.
fuzz_mutator        = $(if $(filter header,$(1)),,fuzz/mutate.c fuzz/mutate_libfuzzer.c)
fuzz_parts          = fuzz/fuzz_$(1).c $(FUZZ_COMMON) $(FUZZ_EXTRA_$(1))

# What each is about: this alone is instrumented. Branches of the oracles, of the mutator and
# of texts for people are no coverage worth having, and looking at them takes time.
FUZZ_ABOUT_header  := lib/header.c
FUZZ_ABOUT_caps    := lib/caps.c lib/jsontext.c
FUZZ_ABOUT_stream  := lib/header.c
FUZZ_ABOUT_payload := lib/header.c lib/msgtab.c $(filter lib/codec_%,$(LIB_SRC)) \
	lib/regioncap.c lib/fieldtext.c lib/record.c

DEPS_FUZZ := $(DEPS_BUILD) clang libclang-rt-14-dev llvm-14 afl++ patch dpkg-dev

.PHONY: deps-fuzz fuzz fuzz-afl fuzz-build fuzz-build-afl fuzz-smoke fuzz-long fuzz-merge \
	fuzz-min fuzz-repro fuzz-cov fuzz-build-cov fuzz-selftest fuzz-replay \
	fuzz-replay-build fuzz-rate fuzz-parts

# ---- replay: gcc's sanitizers, no engine ------------------------------------------------

FUZZ_REPLAY   := $(FUZZ_HARNESSES:%=$(O)/fuzz/replay-%)
FUZZ_PROGRAMS := $(FUZZ_REPLAY) $(O)/fuzz/assemble $(O)/fuzz/mkseeds

define fuzz_replay_rule
$(O)/fuzz/replay-$(1): $(patsubst %.c,$(O)/%.o,$(call fuzz_parts,$(1)) fuzz/replay.c) $(INTERNAL)
	$$(CC) $$(ALLLDFLAGS) -o $$@ $$^ $$(LIB_LIBS)
endef
$(foreach h,$(FUZZ_HARNESSES),$(eval $(call fuzz_replay_rule,$(h))))

$(O)/fuzz/assemble $(O)/fuzz/mkseeds: $(O)/fuzz/%: $(O)/fuzz/%.o $(O)/fuzz/store.o \
		$(FUZZ_COMMON:%.c=$(O)/%.o) $(INTERNAL)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(LIB_LIBS)

-include $(patsubst fuzz/%.c,$(O)/fuzz/%.d,$(wildcard fuzz/*.c))

fuzz-replay-build: $(FUZZ_PROGRAMS)

fuzz-replay: deps-build	## run all of corpus/ through the harnesses, with gcc's sanitizers
	@$(MAKE) --no-print-directory --silent SAN=1 fuzz-replay-build
	@fuzz/replay.sh build/san

# ---- the engines' builds ---------------------------------------------------------------

FUZZ_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DVFUCTL_VERSION='"$(VERSION)"' -O1 -g \
	-fno-omit-frame-pointer $(WARNINGS) $(PKG_CFLAGS) -Ilib -Icmd -MMD -MP
FUZZ_SAN    := address,undefined -fno-sanitize-recover=all

# cJSON compiled in where its source could be had (fuzz/cjson.sh), else the shared library.
FUZZ_CJSON      := $(wildcard $(FUZZ_O)/cjson/cJSON.c)
FUZZ_CJSON_LIBS := $(if $(FUZZ_CJSON),,-lcjson)

# $(1) folder, $(2) compiler, $(3) flags of both, $(4) of linking a harness, $(5) its main if
# that is ours, $(6) compiler and flags of what is not instrumented.
define fuzz_variant
$(FUZZ_O)/$(1)/fuzz/%.o: fuzz/%.c Makefile fuzz/fuzz.mk
	@mkdir -p $$(@D)
	$(6) $(FUZZ_CFLAGS) -c -o $$@ $$<

# The library's reader under another name, and the empty harness: instrumented.
$(FUZZ_O)/$(1)/fuzz/reader_small.o $(FUZZ_O)/$(1)/fuzz/empty.o: $(FUZZ_O)/$(1)/fuzz/%.o: \
		fuzz/%.c lib/reader.c Makefile fuzz/fuzz.mk
	@mkdir -p $$(@D)
	$(2) $(FUZZ_CFLAGS) $(3) -c -o $$@ $$<

$(FUZZ_O)/$(1)/lib/%.o: lib/%.c Makefile fuzz/fuzz.mk
	@mkdir -p $$(@D)
	$(2) $(FUZZ_CFLAGS) $(3) -c -o $$@ $$<

$(FUZZ_O)/$(1)/quiet/%.o: lib/%.c Makefile fuzz/fuzz.mk
	@mkdir -p $$(@D)
	$(if $(filter cov,$(1)),$(2) $(3),$(6)) $(FUZZ_CFLAGS) -c -o $$@ $$<

$(FUZZ_O)/$(1)/cJSON.o: $(FUZZ_O)/cjson/cJSON.c
	@mkdir -p $$(@D)
	$(2) -O1 -g -w $(3) -c -o $$@ $$<

$(FUZZ_O)/$(1)/libvuser.a: $(LIB_SRC:lib/%.c=$(FUZZ_O)/$(1)/quiet/%.o) \
		$(if $(FUZZ_CJSON),$(FUZZ_O)/$(1)/cJSON.o)
	@rm -f $$@
	$(AR) rcs $$@ $$^

$(foreach h,$(FUZZ_HARNESSES),
$(FUZZ_O)/$(1)/fuzz_$(h): $(patsubst %.c,$(FUZZ_O)/$(1)/%.o,$(call fuzz_parts,$(h)) \
		$(FUZZ_ABOUT_$(h)) \
		$(if $(filter libfuzzer,$(1)),$(call fuzz_mutator,$(h))) $(5)) $(FUZZ_O)/$(1)/libvuser.a
	$(2) $(3) $(4) -o $$@ $$^ $(FUZZ_CJSON_LIBS) -pthread
)

-include $(patsubst fuzz/%.c,$(FUZZ_O)/$(1)/fuzz/%.d,$(wildcard fuzz/*.c)) \
	$(LIB_SRC:%.c=$(FUZZ_O)/$(1)/%.d) $(LIB_SRC:lib/%.c=$(FUZZ_O)/$(1)/quiet/%.d)
endef

FUZZ_QUIET           := $(FUZZ_CC) -fsanitize=$(FUZZ_SAN)
FUZZ_FLAGS_libfuzzer := -fsanitize=fuzzer-no-link,$(FUZZ_SAN)
$(eval $(call fuzz_variant,libfuzzer,$(FUZZ_CC),$(FUZZ_FLAGS_libfuzzer),-fsanitize=fuzzer,,$(FUZZ_QUIET)))
# AFL++ sees signals only: UBSan must trap, for all else it does is to exit with 1.
FUZZ_FLAGS_afl := -fsanitize=$(FUZZ_SAN) -fsanitize-undefined-trap-on-error
$(eval $(call fuzz_variant,afl,$(AFL_CC),$(FUZZ_FLAGS_afl),-fsanitize=fuzzer,,$(FUZZ_CC) $(FUZZ_FLAGS_afl)))
$(eval $(call fuzz_variant,cov,$(FUZZ_CC),-fprofile-instr-generate -fcoverage-mapping,,fuzz/replay.c,$(FUZZ_CC)))

# An empty harness, to compare rates with.
$(FUZZ_O)/libfuzzer/fuzz_empty: $(FUZZ_O)/libfuzzer/fuzz/empty.o
	$(FUZZ_CC) $(FUZZ_FLAGS_libfuzzer) -fsanitize=fuzzer -o $@ $^

# AFL++ takes the mutator as a shared object; it is not instrumented, and knows of the
# library what makes and reads messages.
FUZZ_AFL_MUTATOR := $(FUZZ_O)/mutator.so
FUZZ_AFL_SRC     := fuzz/mutate.c fuzz/mutate_afl.c $(FUZZ_COMMON) \
	$(filter lib/codec_% $(addprefix lib/,header.c caps.c jsontext.c msgtab.c regioncap.c \
		error.c),$(LIB_SRC))
$(FUZZ_AFL_MUTATOR): $(FUZZ_AFL_SRC) $(wildcard fuzz/*.h lib/*.h) fuzz/fuzz.mk
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -fPIC -shared -fvisibility=hidden $(WARNINGS) \
		$(PKG_CFLAGS) -Ilib -o $@ $(FUZZ_AFL_SRC) $(LIB_LIBS)

fuzz-build: $(FUZZ_SELECTED:%=$(FUZZ_O)/libfuzzer/fuzz_%)
fuzz-build-afl: $(FUZZ_SELECTED:%=$(FUZZ_O)/afl/fuzz_%) $(FUZZ_AFL_MUTATOR)
fuzz-build-cov: $(FUZZ_HARNESSES:%=$(FUZZ_O)/cov/fuzz_%)

deps-fuzz:
	$(call install_missing,$(DEPS_FUZZ))
	@fuzz/cjson.sh $(FUZZ_O)/cjson

# ---- campaigns: the scripts take what they need from the environment -----------------------

export FUZZ_O FUZZ_CC FUZZ_LLVM FUZZ_SELECTED FUZZ_HARNESSES FUZZ_CJSON_LIBS
export FUZZ_COMPILE_FLAGS = $(FUZZ_CFLAGS) $(FUZZ_FLAGS_libfuzzer)

fuzz: deps-fuzz	## fuzz with libFuzzer: T= seconds a harness (60), H= harness (all)
	@$(MAKE) --no-print-directory --silent fuzz-build
	@fuzz/run.sh libfuzzer $(or $(T),60)

fuzz-afl: deps-fuzz	## fuzz with AFL++: T= seconds a harness (60), H= harness (all)
	@$(MAKE) --no-print-directory --silent fuzz-build-afl
	@fuzz/run.sh afl $(or $(T),60)

fuzz-smoke: deps-fuzz	## every harness T= seconds (5) with each engine; fails on any finding
	@$(MAKE) --no-print-directory --silent fuzz-build fuzz-build-afl
	@fuzz/smoke.sh $(or $(T),5)

fuzz-long: deps-fuzz	## a campaign of T= seconds with JOBS= processes, which resumes
	@$(MAKE) --no-print-directory --silent fuzz-build fuzz-build-afl
	@fuzz/long.sh $(or $(T),3600) $(or $(JOBS),2)

fuzz-merge: deps-fuzz	## put what was found into corpus/, minimised
	@$(MAKE) --no-print-directory --silent fuzz-build
	@$(MAKE) --no-print-directory --silent SAN=1 fuzz-replay-build
	@fuzz/merge.sh

fuzz-min: deps-fuzz	## make a crashing input smaller: F= file
	@$(MAKE) --no-print-directory --silent fuzz-build
	@fuzz/min.sh "$(F)"

fuzz-repro: deps-build	## show what an input is and what it does: F= file
	@$(MAKE) --no-print-directory --silent SAN=1 fuzz-replay-build
	@fuzz/repro.sh "$(F)"

fuzz-cov: deps-fuzz	## what the corpora reach: a summary, and HTML
	@$(MAKE) --no-print-directory --silent fuzz-build-cov
	@$(MAKE) --no-print-directory --silent SAN=1 fuzz-replay-build
	@fuzz/cov.sh

fuzz-rate: deps-fuzz	## executions a second of each harness, and of an empty one
	@$(MAKE) --no-print-directory --silent fuzz-build $(FUZZ_O)/libfuzzer/fuzz_empty
	@fuzz/rate.sh $(or $(T),5)

fuzz-selftest: deps-fuzz	## plant bugs and see that each is found
	@$(MAKE) --no-print-directory --silent fuzz-build
	@$(foreach h,$(FUZZ_HARNESSES),PARTS_$(h)="$(call fuzz_parts,$(h)) $(FUZZ_ABOUT_$(h)) $(call fuzz_mutator,$(h))") \
		fuzz/selftest.sh $(or $(T),60)

# Prints what harness H= is made of, for scripts.
fuzz-parts:
	@echo $(call fuzz_parts,$(H)) $(FUZZ_ABOUT_$(H)) $(call fuzz_mutator,$(H))
