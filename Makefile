# SPDX-License-Identifier: BSD-3-Clause
# vfuctl: program, library, tests. "make help" lists the targets.

VERSION   := 0.1.0
SOVERSION := 0
PREFIX    ?= /usr/local
DESTDIR   ?=
BINDIR    ?= $(PREFIX)/bin
LIBDIR    ?= $(PREFIX)/lib
INCDIR    ?= $(PREFIX)/include/vuser
MANDIR    ?= $(PREFIX)/share/man

# O is where everything but ./vfuctl is made; SAN=1 and WERROR=1 are the developers' builds.
SAN       ?=
O         ?= build$(if $(SAN),/san)
PROGRAM   := $(if $(SAN),$(O)/vfuctl,vfuctl)

ifeq ($(origin CC),default)
CC        := gcc
endif
PKGCONFIG ?= pkg-config
PACKAGES  := libedit libcjson
CFLAGS    ?= -O2 -g
WARNINGS  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wconversion -Wno-sign-conversion \
	$(if $(WERROR)$(SAN)$(CI),-Werror)
SANFLAGS  :=
ifneq ($(SAN),)
SANFLAGS  := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ALLFLAGS   = -std=gnu11 -D_GNU_SOURCE -DVFUCTL_VERSION='"$(VERSION)"' -MMD -MP -fPIC \
	-fvisibility=hidden $(WARNINGS) $(SANFLAGS) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS)
LDFLAGS   ?=
ALLLDFLAGS = $(SANFLAGS) $(LDFLAGS)

# Debian packages: to build, to test, to lint.
DEPS_BUILD := gcc libc6-dev make pkg-config libedit-dev libcjson-dev libpci-dev pci.ids
DEPS_TEST  := $(DEPS_BUILD) libcmocka-dev bats tmux jq mandoc valgrind binutils socat \
	xxd bsdextrautils procps
DEPS_LINT  := clang clang-format clang-tidy cppcheck shellcheck mandoc

DEPS_QEMU  := $(DEPS_BUILD) python3 debootstrap busybox-static cpio xz-utils

PKG_CFLAGS := $(shell $(PKGCONFIG) --cflags $(PACKAGES) 2>/dev/null)
LIB_LIBS   := $(shell $(PKGCONFIG) --libs libcjson 2>/dev/null) -pthread
CMD_LIBS   := $(shell $(PKGCONFIG) --libs libedit 2>/dev/null) -lpci

LIB_SRC  := $(sort $(wildcard lib/*.c))
CMD_SRC  := $(sort $(wildcard cmd/*.c))
TEST_SRC := $(sort $(wildcard tests/test_*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(O)/%.o)
CMD_OBJ  := $(CMD_SRC:%.c=$(O)/%.o)
CMD_REST := $(filter-out $(O)/cmd/main.o,$(CMD_OBJ))
TESTS    := $(TEST_SRC:tests/%.c=$(O)/tests/%)
INTERNAL := $(O)/libvuser-internal.a
STATIC   := $(O)/libvuser.a
SHARED   := $(O)/libvuser.so.$(SOVERSION)

.DEFAULT_GOAL := all
.PHONY: all help deps deps-build deps-test deps-lint deps-qemu demo test test-run \
	check-build check-valgrind check-qemu bench soak lint lint-run format install uninstall \
	clean
.DELETE_ON_ERROR:

all: $(PROGRAM) $(STATIC) $(SHARED)	## build the program and the library

help:	## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

# ---- building -----------------------------------------------------------------------

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -Ilib $(if $(filter $(O)/tests/%,$@),-Icmd) -c -o $@ $<

# Tests see the library's inner names; users get one archive without them.
$(INTERNAL): $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(STATIC): $(LIB_OBJ)
	@rm -f $@
	$(LD) -r -o $(O)/libvuser.o $^
	objcopy --localize-hidden $(O)/libvuser.o
	$(AR) rcs $@ $(O)/libvuser.o

$(SHARED): $(LIB_OBJ)
	$(CC) $(ALLLDFLAGS) -shared -Wl,-soname,$(@F) -o $@ $^ $(LIB_LIBS)
	ln -sf $(@F) $(O)/libvuser.so

$(PROGRAM): $(CMD_OBJ) $(INTERNAL)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(CMD_LIBS) $(LIB_LIBS)

$(O)/tests/test_%: $(O)/tests/test_%.o $(CMD_REST) $(INTERNAL)
	$(CC) $(ALLLDFLAGS) -o $@ $< $(CMD_REST) $(INTERNAL) -lcmocka $(CMD_LIBS) $(LIB_LIBS)

$(O)/tests/soak: $(O)/tests/soak.o $(INTERNAL)
	$(CC) $(ALLLDFLAGS) -o $@ $< $(INTERNAL) $(LIB_LIBS)

$(O)/tests/bench: $(O)/tests/bench.o $(CMD_REST) $(INTERNAL)
	$(CC) $(ALLLDFLAGS) -o $@ $< $(CMD_REST) $(INTERNAL) $(CMD_LIBS) $(LIB_LIBS)

-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(TESTS:=.d) $(O)/tests/bench.d $(O)/tests/soak.d

# ---- what a fresh machine needs ------------------------------------------------------

# Installs the packages of $(1) that are missing, with sudo unless we are root.
define install_missing
	@missing=$$(for p in $(1); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; \
	done); \
	if [ -n "$$missing" ]; then \
		echo "Installing:" $$missing; \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		export DEBIAN_FRONTEND=noninteractive; \
		$$sudo apt-get update -q && \
		$$sudo apt-get install -q -y --no-install-recommends $$missing; \
	fi
endef

deps-build:
	$(call install_missing,$(DEPS_BUILD))
deps-test:
	$(call install_missing,$(DEPS_TEST))
deps-lint:
	$(call install_missing,$(DEPS_LINT))
deps-qemu:
	$(call install_missing,$(DEPS_QEMU))
deps: deps-test deps-lint	## install all Debian packages that are missing

# ---- demo ----------------------------------------------------------------------------

demo: deps-build	## install what is missing, build, talk to the embedded device
	@$(MAKE) --no-print-directory vfuctl
	@tests/demo ./vfuctl

# ---- tests ---------------------------------------------------------------------------

test: deps-test	## install what is missing, build with sanitizers, run all tests
	@$(MAKE) --no-print-directory test-run

# The plain build is there for what cannot be seen with sanitizers: floors, symbols, install.
test-run:
	@$(MAKE) --no-print-directory all build/tests/soak WERROR=1
	@$(MAKE) --no-print-directory SAN=1 check-build fuzz-replay-build
	@tests/run build build/san

check-build: all $(TESTS) $(O)/tests/peer	## build the tests, too

$(O)/tests/peer: tests/peer.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) $(ALLLDFLAGS) -o $@ $<

check-valgrind: deps-test	## run the unit tests under valgrind
	@$(MAKE) --no-print-directory O=build check-build
	@tests/run --valgrind build build

# A Debian with QEMU is kept in QEMU_ROOT if the system's QEMU is too old; QEMU_SECONDS bounds
# the run, SEED= repeats its random accesses, ONLY= picks checks by a part of their name.
QEMU_ROOT    ?= .qemu
QEMU_SECONDS ?= 900

# Without the packages, for want of a network or of rights, the checks say what they could not.
check-qemu:	## test the server with a real QEMU as its client
	-@$(MAKE) --no-print-directory deps-qemu
	@$(MAKE) --no-print-directory SAN=1 build/san/vfuctl
	@tests/qemu/run build/san/vfuctl --root=$(QEMU_ROOT) --seconds=$(QEMU_SECONDS) \
		$(if $(SEED),--seed=$(SEED)) $(if $(ONLY),--only="$(ONLY)") \
		$(if $(SAVE),--save=$(SAVE))

bench: deps-build	## print what the library and the program cost
	@$(MAKE) --no-print-directory vfuctl build/tests/bench
	@build/tests/bench ./vfuctl $(READS)

soak: deps-build	## serve CLIENTS= (1000000) clients one after the other, and see that nothing is left
	@$(MAKE) --no-print-directory vfuctl build/tests/soak
	@build/tests/soak ./vfuctl $(or $(CLIENTS),1000000)

# ---- lint ----------------------------------------------------------------------------

C_FILES  = $(LIB_SRC) $(CMD_SRC) $(wildcard lib/*.h cmd/*.h tests/*.[ch] tests/qemu/*.c fuzz/*.[ch])
SH_FILES = .ci/run tests/run tests/demo tests/floors \
	$(wildcard tests/*.bash tests/qemu/*.sh fuzz/*.sh)

# What this cppcheck does not understand: queue macros, and arrays filled by a called function.
CPPCHECK_QUIRKS := '-DTAILQ_FOREACH(v,h,f)=for((v)=0;(v);)' '-DTAILQ_ENTRY(t)=int' \
	'-DTAILQ_HEAD(n,t)=struct n' --suppress=uninitvar --suppress=ctuuninitvar \
	--suppress=nullPointerRedundantCheck

lint: deps-lint deps-build	## clang-format, clang-tidy, cppcheck, shellcheck, mandoc
	@$(MAKE) --no-print-directory lint-run

lint-run:
	clang-format --dry-run -Werror $(C_FILES)
	clang-tidy --quiet $(LIB_SRC) $(CMD_SRC) -- -std=gnu11 -D_GNU_SOURCE -Ilib \
		-DVFUCTL_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		$(CPPCHECK_QUIRKS) -D_GNU_SOURCE -Ilib lib cmd
	shellcheck $(SH_FILES)
	shellcheck -s bash $(wildcard tests/*.bats)
	mandoc -Tlint -Wwarning $(wildcard man/*.[1-9])

format:	## format the C files
	clang-format -i $(C_FILES)

# ---- installing ----------------------------------------------------------------------

PUBLIC_HEADERS := lib/vuser.h lib/proto.h $(wildcard lib/vuser_*.h)

install: all	## install program, library, header, pkg-config file, man pages
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR)
	install -m 755 vfuctl $(DESTDIR)$(BINDIR)/vfuctl
	install -m 644 build/libvuser.a $(DESTDIR)$(LIBDIR)/libvuser.a
	install -m 755 build/$(notdir $(SHARED)) $(DESTDIR)$(LIBDIR)/$(notdir $(SHARED))
	ln -sf $(notdir $(SHARED)) $(DESTDIR)$(LIBDIR)/libvuser.so
	install -m 644 $(PUBLIC_HEADERS) $(DESTDIR)$(INCDIR)
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: libvuser' \
		'Description: the vfio-user protocol for clients, servers and tools' \
		'Version: $(VERSION)' 'Requires.private: libcjson' 'Libs: -L$(LIBDIR) -lvuser' \
		'Libs.private: -pthread' 'Cflags: -I$(INCDIR)' \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/libvuser.pc
	for page in man/*.[1-9]; do \
		install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; \
	done

uninstall:	## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/vfuctl $(DESTDIR)$(LIBDIR)/libvuser.a \
		$(DESTDIR)$(LIBDIR)/libvuser.so $(DESTDIR)$(LIBDIR)/$(notdir $(SHARED)) \
		$(DESTDIR)$(LIBDIR)/pkgconfig/libvuser.pc
	rm -f $(PUBLIC_HEADERS:lib/%=$(DESTDIR)$(INCDIR)/%)
	for page in man/*.[1-9]; do \
		rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; \
	done

include fuzz/fuzz.mk

clean:	## remove what was made
	rm -rf build vfuctl
