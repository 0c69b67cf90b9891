#!/bin/bash -eu
# SPDX-License-Identifier: BSD-3-Clause
# Builds the harnesses with the compiler, flags and engine that the environment names, and
# packs their corpora and dictionaries. CC, CFLAGS, LIB_FUZZING_ENGINE and OUT are given.
exec fuzz/oss_build.sh
