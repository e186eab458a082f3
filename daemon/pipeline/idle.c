// SPDX-License-Identifier: Apache-2.0
#include "pipeline/idle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void idle_free(struct idle *i)
{
	free(i->list);
	*i = (struct idle){ 0 };
}

static struct idle_part *find(const struct idle *i, const char *topic, int32_t partition)
{
	for (uint32_t k = 0; k < i->n; k++)
		if (i->list[k].partition == partition && strcmp(i->list[k].topic, topic) == 0)
			return &i->list[k];
	return NULL;
}

static void note_part(struct idle *i, const struct worker_part_status *p)
{
	struct idle_part *x = find(i, p->topic, p->partition);
	if (x == NULL) {
		i->list = xrealloc(i->list, i->n + 1, sizeof(*i->list));
		x = &i->list[i->n++];
		*x = (struct idle_part){ .partition = p->partition, .next = -1 };
		snprintf(x->topic, sizeof(x->topic), "%s", p->topic);
	}
	if (x->next != p->next || x->at_end != p->at_end)
		x->waiting_us = 0;
	x->next = p->next;
	x->at_end = p->at_end;
	x->ahead = p->end > p->next && p->end > p->at_end;
	x->there = true;
}

void idle_note(struct idle *i, const struct worker_status *w)
{
	for (uint32_t k = 0; k < w->n_parts; k++)
		if (w->parts[k].halted[0] == '\0')
			note_part(i, &w->parts[k]);
}

void idle_sweep(struct idle *i)
{
	uint32_t kept = 0;
	for (uint32_t k = 0; k < i->n; k++)
		if (i->list[k].there) {
			i->list[kept] = i->list[k];
			i->list[kept++].there = false;
		}
	i->n = kept;
}

bool idle_pick(struct idle *i, struct idle_part *ret)
{
	if (i->n == 0)
		return false;
	uint32_t from = i->turn++ % i->n, chosen = from;
	for (uint32_t k = 0; i->turn % 2 == 0 && k < i->n; k++) {
		uint32_t at = (from + k) % i->n;
		if (i->list[at].ahead) {
			chosen = at;
			break;
		}
	}
	*ret = i->list[chosen];
	return true;
}

void idle_answer(struct idle *i, const struct idle_part *asked, int64_t end, int64_t now_us)
{
	struct idle_part *x = find(i, asked->topic, asked->partition);
	if (x == NULL || x->next != asked->next || x->at_end != asked->at_end)
		return; // it moved meanwhile
	if (end <= x->next || end <= x->at_end)
		x->waiting_us = 0;
	else if (x->waiting_us == 0)
		x->waiting_us = now_us;
}

bool idle_suspected(const struct idle *i, const struct worker_part_status *p, int64_t now_us, int64_t for_us)
{
	const struct idle_part *x = p->halted[0] == '\0' ? find(i, p->topic, p->partition) : NULL;
	return x != NULL && x->waiting_us != 0 && x->next == p->next && x->at_end == p->at_end && now_us - x->waiting_us >= for_us;
}
