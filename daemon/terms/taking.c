// SPDX-License-Identifier: Apache-2.0
#include "terms/taking.h"

#include <string.h>

void taking_make(const struct terms *t, struct arena *arena, struct taking *ret)
{
	struct taking k = { .terms = t };
	k.services = arena_alloc(arena, (t->n_services + 1) * sizeof(*k.services));
	k.shared_left = arena_alloc(arena, (t->n_shared + 1) * sizeof(*k.shared_left));
	k.pack_left = arena_alloc(arena, (t->n_packs + 1) * sizeof(*k.pack_left));
	for (uint32_t i = 0; i < t->n_services; i++) {
		const struct terms_service *s = &t->services[i];
		k.services[i] = (struct deduct_service){ .shared = s->shared, .n_packs = s->n_packs, .packs = s->packs,
							 .pack_calls = arena_alloc(arena, (s->n_packs + 1) * sizeof(int64_t)) };
	}
	*ret = k;
}

void taking_run(struct taking *k, bool activation, const int64_t *calls, const int64_t *pack_left)
{
	const struct terms *t = k->terms;
	for (uint32_t i = 0; i < t->n_shared; i++)
		k->shared_left[i] = activation ? t->shared[i].calls_first : t->shared[i].calls;
	if (t->n_packs > 0)
		memcpy(k->pack_left, pack_left, t->n_packs * sizeof(*pack_left));
	for (uint32_t i = 0; i < t->n_services; i++) {
		k->services[i].calls = calls[i];
		k->services[i].quota = activation ? t->services[i].quota_first : t->services[i].quota;
	}
	deduct_month(k->services, t->n_services, k->shared_left, k->pack_left);
}
