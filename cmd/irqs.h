/* SPDX-License-Identifier: BSD-3-Clause */
/* The eventfds by which interrupts of the connection arrive, and how often they did. */
#ifndef IRQS_H
#define IRQS_H

#include "app.h"

struct irq_vector {
	uint32_t index, vector;
	int fd; /* an eventfd of ours, -1: none was attached so far */
	bool attached;
	bool masked;	 /* as far as we know: the server keeps that */
	bool automasked; /* it masks itself when it fires */
	bool single;	 /* the only one of its type */
	uint64_t fired;	 /* since it was attached first */
	uint64_t fresh;	 /* of these, since the last wait */
	uint64_t untold; /* of these, not shown at the prompt yet */
};

/* So many are waited for at most, whatever the server claims to have. */
#define IRQS_MAX 4096u

/*
 * Eventfds for count vectors from start on, those that are there or new ones: fds gets
 * them, irqs_settle() tells what became of them. FAIL_NONE or fail().
 */
int irqs_prepare(struct app *app, uint32_t index, uint32_t start, uint32_t count,
		 int *fds);
/* info is the type's. Without success the new ones go. */
void irqs_settle(struct app *app, const struct vuser_irq_info *info, uint32_t start,
		 uint32_t count, bool success);
/* Detaches count vectors; what they counted stays. */
void irqs_detach(struct app *app, uint32_t index, uint32_t start, uint32_t count);
void irqs_mask(struct app *app, uint32_t index, uint32_t start, uint32_t count,
	       bool masked);
/* Forgets all of it. */
void irqs_forget(struct app *app);

/* The i-th in order of type and vector, NULL when there are fewer. */
struct irq_vector *irqs_get(struct app *app, size_t i);
/* "msix:3", "intx" */
char *irq_vector_text(const struct irq_vector *v, char *buf, size_t cap);

/* Readable when one has fired; -1 without any. */
int irqs_fd(const struct app *app);
/* Counts what has fired. */
void irqs_collect(struct app *app);

/*
 * For the prompt: what to poll, for no longer than *timeout ms, which it may shorten; and
 * after that. A storm of interrupts is told twice a second, as one line.
 */
int irqs_prompt_fd(struct app *app, int *timeout);
void irqs_prompt_tell(struct app *app);

#endif
