# SPDX-License-Identifier: Apache-2.0
# The two commands of the README are `make demo` and `make test`. Both make
# their own virtual environment and need Python, a C compiler and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard csrc/src/*/*.c)
HEADERS := $(wildcard csrc/src/*/*.h) csrc/include/pyspin.h
PACKAGE := $(shell find pyspin -name '*.py')

.PHONY: demo test pytest check ctest ctests fuzz fuzz-long fuzz-runs sanitize sanitize-brief bench clean

demo: $(VENV)/.demo
	$(BIN)/pyspin demo

test: check ctests fuzz pytest sanitize-brief

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What the demo needs; a stamp per set of extras.
$(VENV)/.demo: $(VENV)/bin/python pyproject.toml setup.py build_ffi.py $(SOURCES) $(HEADERS) $(PACKAGE)
	$(BIN)/pip install --quiet --disable-pip-version-check '.[cli]'
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml setup.py build_ffi.py $(SOURCES) $(HEADERS) $(PACKAGE)
	$(BIN)/pip install --quiet --disable-pip-version-check '.[test]'
	touch $@

pytest: $(VENV)/.test
	$(BIN)/pytest tests

# The same tests over a core built with a sanitizer.
sanitize: $(VENV)/.test
	$(BIN)/python tools/sanitize.py address -q
	$(BIN)/python tools/sanitize.py thread -q

# The thread sanitizer takes long, so `make test` gives it the tests of what
# threads share most.
SHARED := threads memory recv_stream recv_ring recv_udp recv_fd send_udp scp_bulk

sanitize-brief: $(VENV)/.test
	$(BIN)/python tools/sanitize.py address -q
	$(BIN)/python tools/sanitize.py thread -q $(SHARED:%=tests/test_%.py)

BENCH := .bench
$(BENCH)/.bench: pyproject.toml setup.py build_ffi.py $(SOURCES) $(HEADERS) $(PACKAGE)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check '.[bench]'
	touch $@

# All measurements, an hour or so; ROUNDS=1 for a look.
ROUNDS ?= 7
bench: $(BENCH)/.bench
	$(BENCH)/bin/python tools/bench/run.py --rounds $(ROUNDS)
	$(BENCH)/bin/python tools/bench/scp.py --rounds $(ROUNDS)
	$(BENCH)/bin/python tools/bench/listener.py --rounds $(ROUNDS)
	$(BENCH)/bin/python tools/bench/token_bucket.py --rounds $(ROUNDS)
	$(BENCH)/bin/python tools/bench/report.py

check:
	$(PYTHON) tools/check_layers.py

# The C library without Python. SAN names the sanitizers of one run:
# make ctest SAN=address,undefined
CC ?= cc
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -pthread $(CFLAGS) $(WARNINGS) -Icsrc/include -Icsrc/src
SAN ?=
ifneq ($(SAN),)
ALL_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
empty :=
comma := ,
OUT := build/c$(if $(SAN),-$(subst $(comma),-,$(SAN)))
OBJECTS := $(SOURCES:csrc/src/%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libpyspin.a
CTESTS := $(patsubst tests/c/%.c,$(OUT)/%,$(wildcard tests/c/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(OUT)/%,$(wildcard tests/fuzz/fuzz_*.c))

.SECONDARY: $(OBJECTS)

$(OUT)/%.o: csrc/src/%.c $(HEADERS)
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(CC) $(ALL_CFLAGS) -c $< -o $@

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/test_%: tests/c/test_%.c $(wildcard tests/c/*.h) $(LIBRARY)
	@echo "CC $@"
	@$(CC) $(ALL_CFLAGS) $< $(LIBRARY) -o $@

$(OUT)/fuzz_%: tests/fuzz/fuzz_%.c $(wildcard tests/fuzz/*.h tests/c/*.h) $(LIBRARY)
	@echo "CC $@"
	@$(CC) $(ALL_CFLAGS) $< $(LIBRARY) -o $@

# Each test program has ten minutes, which end a hang: on a machine that others
# keep busy one may take minutes. Exit status 77 means skipped.
ctest: $(CTESTS)
	@for test in $^; do \
	    timeout -k 5 600 $$test; status=$$?; \
	    case $$status in 0) echo "pass $$test";; 77) echo "skip $$test";; \
	    *) echo "FAIL $$test ($$status)"; exit 1;; esac; \
	done

ctests:
	$(MAKE) --no-print-directory ctest
	$(MAKE) --no-print-directory ctest SAN=address,undefined
	$(MAKE) --no-print-directory ctest SAN=thread

# A short run of each fuzzer from a fixed seed; fuzz-long goes on from others.
FUZZ_RUNS ?= 10000
FUZZ_SEED ?= 1

fuzz:
	$(MAKE) --no-print-directory fuzz-runs SAN=address,undefined

fuzz-long:
	$(MAKE) --no-print-directory fuzz-runs SAN=address,undefined \
	    FUZZ_RUNS=3000000 FUZZ_SEED=$$(date +%s)

fuzz-runs: $(FUZZERS)
	@for fuzzer in $^; do \
	    timeout -k 5 3600 $$fuzzer $(FUZZ_RUNS) $(FUZZ_SEED) \
	    || { echo "FAIL $$fuzzer $(FUZZ_RUNS) $(FUZZ_SEED)"; exit 1; }; \
	    echo "pass $$fuzzer"; \
	done

clean:
	rm -rf build $(VENV) $(BENCH) *.egg-info pyspin/_core.*
