// SPDX-License-Identifier: Apache-2.0
// `shared_free`: free calls that several services share. Each service takes part in one of them at most, and has then none of its
// own: so every free call of a bill comes from one place only.
#include <stdlib.h>

#include "base/check.h"
#include "catalog/read.h"

enum { SHARED_ID_MOST = 64 };

struct shared_reader {
	struct book_reader *r;
	const struct yaml_node *services; // the list `services` of the file
	int *line_of;                     // by service: where it is already shared; 0
};

static const char *owner_of_alias(const struct catalog *c, const char *name)
{
	for (uint32_t i = 0; i < c->n_services; i++)
		for (uint32_t k = 0; k < c->services[i].n_aliases; k++)
			if (strcmp(c->services[i].aliases[k].name, name) == 0)
				return c->services[i].id;
	return NULL;
}

static void unknown_member(struct book_reader *r, const struct yaml_node *n, const char *name)
{
	const char *owner = owner_of_alias(r->book, name);
	const char *near = owner == NULL ? read_nearest(r, name, r->ids) : NULL;
	if (owner != NULL)
		read_fault(r, n, "`%s` is an alias: write the id of its service, `%s`", name, owner);
	else if (near != NULL)
		read_fault(r, n, "`%s` is no service: did you mean `%s`?", name, near);
	else
		read_fault(r, n, "`%s` is no service: name one of this file", name);
}

static bool read_member(struct shared_reader *x, const struct yaml_node *n, uint32_t *ret)
{
	struct book_reader *r = x->r;
	const char *name;
	if (!read_word(r, n, "service", "._-", SHARED_ID_MOST, &name))
		return false;
	if (!read_find_service(r, name, ret)) {
		unknown_member(r, n, name);
		return false;
	}
	const struct yaml_node *node = x->services->items[*ret], *own = yaml_get(node, "free");
	size_t before = r->faults->n;
	if (x->line_of[*ret] != 0)
		read_fault(r, n, "`%s` shares free calls already in line %d: name it in one place only", name, x->line_of[*ret]);
	else if (own != NULL)
		read_fault(r, n, "`%s` has `free` of its own (line %d): remove that, or do not let it share", name, own->line);
	else if (yaml_get(node, "prices") == NULL)
		read_fault(r, n, "`%s` has no prices: its calls are at price 0 and take no free calls; remove it here, or add `prices`", name);
	if (x->line_of[*ret] == 0)
		x->line_of[*ret] = n->line;
	return r->faults->n == before;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void read_members(struct shared_reader *x, const struct yaml_node *list, struct shared_free *s)
{
	struct book_reader *r = x->r;
	if (!read_is_list(r, list, "`services`"))
		return;
	if (list->n < 2) {
		read_fault(r, list, "%s: free calls are shared by two services at least; for one, write `free` there",
			   list->n == 0 ? "no services" : "one service only");
		return;
	}
	s->services = read_alloc(r, list->n, sizeof(*s->services));
	for (uint32_t i = 0; i < list->n; i++)
		if (read_member(x, list->items[i], &s->services[s->n_services]))
			s->n_services++;
	qsort(s->services, s->n_services, sizeof(*s->services), by_number);
}

// Usage, alerts and ladders name a shared quota where they name a service.
static void check_id(struct book_reader *r, const struct yaml_node *n, const struct yaml_node *services, const char *id)
{
	const struct catalog *c = r->book;
	uint32_t service;
	if (read_find_service(r, id, &service))
		read_fault(r, n, "`%s` is the id of a service (line %d): choose another, alerts name both in the same place", id,
			   yaml_get(services->items[service], "id")->line);
	else if (owner_of_alias(c, id) != NULL)
		read_fault(r, n, "`%s` is an alias of service `%s`: choose another id, alerts name both in the same place", id,
			   owner_of_alias(c, id));
	for (uint32_t i = 0; i < c->n_shared; i++)
		if (strcmp(c->shared[i].id, id) == 0)
			read_fault(r, n, "shared free calls `%s` stand twice: remove one, or choose another id", id);
}

static void read_entry(struct shared_reader *x, const struct yaml_node *n, struct shared_free *s)
{
	static const char *const known[] = { "id", "services", "free", NULL };
	struct book_reader *r = x->r;
	s->id = "";
	if (!read_is_map(r, n, "an entry of `shared_free`"))
		return;
	yaml_check_keys(n, known, r->file, r->faults);
	const struct yaml_node *id = read_required(r, n, "id", "image-quota");
	const struct yaml_node *members = read_required(r, n, "services", "[image-tag, image-crop]");
	const struct yaml_node *quotas = read_required(r, n, "free", "[{from: 2020-01, calls: 10000}]");
	if (id != NULL && read_word(r, id, "id of shared free calls", "._-", SHARED_ID_MOST, &s->id))
		check_id(r, id, x->services, s->id);
	if (members != NULL)
		read_members(x, members, s);
	if (quotas == NULL || !read_quotas(r, quotas, &s->quotas, &s->n_quotas))
		return;
	if (s->n_quotas == 0)
		read_fault(r, quotas, "no free calls: list at least one entry, such as {from: 2020-01, calls: 10000}");
}

void read_shared(struct book_reader *r, const struct yaml_node *list, const struct yaml_node *services)
{
	struct catalog *c = r->book;
	if (!read_is_list(r, list, "`shared_free`"))
		return;
	CLEANUP(freep) int *line_of = xcalloc(c->n_services, sizeof(*line_of));
	struct shared_reader x = { r, services, line_of };
	c->shared = read_alloc(r, list->n, sizeof(*c->shared));
	for (uint32_t i = 0; i < list->n; i++, c->n_shared++) {
		struct shared_free *s = &c->shared[i];
		read_entry(&x, list->items[i], s);
		for (uint32_t k = 0; k < s->n_services; k++)
			c->services[s->services[k]].shared = (int)i;
	}
}
