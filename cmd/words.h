/* SPDX-License-Identifier: BSD-3-Clause */
/* Words of a command: splitting a text into them, and what each kind of word means. */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The words of one command. Owns its memory, which the next command uses again. */
struct words {
	char **v;      /* n words, then NULL */
	size_t n;      /* 0 only when there is no command */
	unsigned line; /* of the text, where the first word stands */
	size_t vcap;
	char *text;
	size_t cap, used;
};

void words_free(struct words *w);

/* A text that is read command by command; start with { text, len, 0, 1 }. */
struct splitter {
	const char *text;
	size_t len, at;
	unsigned line;	     /* at which the splitter stands, from 1 */
	unsigned bad_line;   /* SPLIT_BAD and SPLIT_MORE: where */
	const char *problem; /* the same: what, "a quote is not closed" */
};

enum split {
	SPLIT_END,     /* nothing is left */
	SPLIT_COMMAND, /* w holds a command */
	SPLIT_MORE,    /* the text ends within a quote or after a backslash */
	SPLIT_BAD,     /* the text is no text; the splitter stands behind it */
	SPLIT_MEMORY,
};

/*
 * The next command, which ends at a `;` or a newline. Blanks, '...', "..." and \ are
 * those of a POSIX shell, # starts a comment, nothing is expanded. With SPLIT_MORE the
 * splitter stands where the command began, so that it can be read again when there is
 * more.
 */
enum split split_next(struct splitter *s, struct words *w);

/*
 * The meaning of a word. Each returns NULL, or what is wrong with it, to be read after
 * the word itself ("is not a number").
 */
const char *word_number(const char *word, uint64_t *out);
/* Nanoseconds: a number with ms, s or m, or 0. */
const char *word_duration(const char *word, int64_t *ns);
const char *word_region(const char *word, uint32_t *index);
/* An interrupt, "msix", and its vector, "msix:3"; vector may be NULL, then none may stand
 * there. */
const char *word_irq(const char *word, uint32_t *index, uint32_t *vector);
/* 1, 2, 4 or 8. */
const char *word_width(const char *word, unsigned *width);
/* Pairs of hex digits, blanks between them allowed; free *data. */
const char *word_hex(const char *word, uint8_t **data, size_t *len);
/* A device feature: its name or a number of 16 bits. */
const char *word_feature(const char *word, uint32_t *feature);
/* A state of a device that migrates: its name or a number. */
const char *word_state(const char *word, uint32_t *state);
/* on or off */
const char *word_switch(const char *word, bool *on);

/* The names of regions and interrupts, NULL beyond the last. */
const char *region_name_at(size_t i);
const char *irq_name_at(size_t i);
/* The same of device features, and of the states that can be asked for. */
const char *feature_name_at(size_t i);
const char *state_name_at(size_t i);

#endif
