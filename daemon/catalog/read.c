// SPDX-License-Identifier: Apache-2.0
// A price book from its text. Refuses everything that two people could read in two ways.
#include <limits.h>
#include <stdlib.h>

#include "base/check.h"
#include "catalog/read.h"

enum { ID_MOST = 64, NAME_MOST = 256, ALIAS_MOST = 128, STATUS_MOST = 64 };

// --- money, zone, switches ----------------------------------------------------------------------------------------------

static void read_zone(struct book_reader *r, const struct yaml_node *root)
{
	const struct yaml_node *n = read_required(r, root, "time_zone", "Asia/Shanghai");
	struct error e = { 0 };
	if (n != NULL && read_scalar(r, n, "`time_zone`") && zone_open(n->text.p, &r->book->zone, &e) != ERROR_NONE)
		read_fault(r, n, "%s", e.text);
	if (r->book->zone == NULL) // so that months and instants can be judged too
		check(zone_open("UTC", &r->book->zone, NULL) == ERROR_NONE);
}

static void read_currency(struct book_reader *r, const struct yaml_node *root)
{
	const struct yaml_node *n = read_required(r, root, "currency", "CNY");
	if (n == NULL || !read_scalar(r, n, "`currency`"))
		return;
	if (n->text.n != 3 || strspn(n->text.p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		read_fault(r, n, "`currency` `%.40s` is not a currency code: three capital letters, such as CNY", n->text.p);
	else
		r->book->currency = read_keep(r, n->text);
}

static void read_freeze(struct book_reader *r, const struct yaml_node *root)
{
	struct catalog *c = r->book;
	const struct yaml_node *n;
	int word;
	int64_t ratio;
	if ((n = yaml_get(root, "freeze_basis")) != NULL && read_choice(r, n, "`freeze_basis`", read_freeze_bases, &word))
		c->freeze_basis = (enum freeze_basis)word;
	if ((n = yaml_get(root, "freeze_ratio")) == NULL || !read_price(r, n, "`freeze_ratio`", &ratio))
		return;
	if (ratio > 100 * INT64_C(1000000))
		read_fault(r, n, "`freeze_ratio` is %.40s: at most 100, and 1 is 100 %%", n->text.p);
	else
		c->freeze_ratio_micro = ratio;
}

static void read_head(struct book_reader *r, const struct yaml_node *root)
{
	static const char *const statements_known[] = { "zero_price", NULL };
	struct catalog *c = r->book;
	const struct yaml_node *n = read_required(r, root, "version", "2020-01");
	int word;
	if (n != NULL)
		read_word(r, n, "`version`", "._:+-", ID_MOST, &c->version);
	read_currency(r, root);
	read_zone(r, root);
	if ((n = yaml_get(root, "rounding")) != NULL && read_choice(r, n, "`rounding`", words_roundings, &word))
		c->rounding = (enum rounding)word;
	read_freeze(r, root);
	if ((n = yaml_get(root, "pack_order")) != NULL && read_choice(r, n, "`pack_order`", read_pack_orders, &word))
		c->pack_order = (enum pack_order)word;
	n = yaml_get(root, "statements");
	if (n != NULL && read_is_map(r, n, "`statements`")) {
		yaml_check_keys(n, statements_known, r->file, r->faults);
		n = yaml_get(n, "zero_price");
		if (n != NULL)
			read_bool(r, n, "`statements.zero_price`", &c->zero_price_statements);
	}
}

// --- billable codes -----------------------------------------------------------------------------------------------------

static void read_codes(struct book_reader *r, const struct yaml_node *list, struct billable_codes *b)
{
	if (list == NULL || !read_is_list(r, list, "`codes`"))
		return;
	b->codes = read_alloc(r, list->n, sizeof(*b->codes));
	for (uint32_t i = 0; i < list->n; i++) {
		const char *code;
		if (!read_text(r, list->items[i], "a status code", STATUS_MOST, &code))
			continue;
		for (uint32_t k = 0; k < b->n; k++)
			if (span_is(b->codes[k], code))
				read_fault(r, list->items[i], "status code `%s` stands twice: remove one of them", code);
		b->codes[b->n++] = span_of(code);
	}
}

static void read_billable_entry(struct book_reader *r, const struct yaml_node *list, uint32_t i, struct billable_codes *b)
{
	static const char *const known[] = { "from", "codes", NULL };
	const struct yaml_node *entry = list->items[i];
	if (!read_is_map(r, entry, "an entry of `billable_status`"))
		return;
	yaml_check_keys(entry, known, r->file, r->faults);
	const struct yaml_node *from = i > 0 ? read_required(r, entry, "from", "2020-07") : yaml_get(entry, "from");
	if (from != NULL && read_instant(r, from, "`from`", &b[0].from_ms) && i > 0 && b[0].from_ms <= b[-1].from_ms)
		read_fault(r, from, "entries are not in order of time: each must begin later than the one before it");
	read_codes(r, read_required(r, entry, "codes", "[ok]"), b);
}

static void read_billable(struct book_reader *r, const struct yaml_node *list)
{
	struct catalog *c = r->book;
	uint32_t n = list != NULL && read_is_list(r, list, "`billable_status`") ? list->n : 0;
	c->billable = read_alloc(r, n + 1, sizeof(*c->billable));
	c->billable[0] = (struct billable_codes){ INT64_MIN, 1, read_alloc(r, 1, sizeof(struct span)) };
	c->billable[0].codes[0] = SPAN_LIT("ok");
	c->n_billable = 1;
	struct billable_codes *b = read_alloc(r, n, sizeof(*b));
	for (uint32_t i = 0; i < n; i++) {
		b[i].from_ms = INT64_MIN;
		read_billable_entry(r, list, i, &b[i]);
		if (b[i].from_ms == INT64_MIN)
			c->n_billable = 0; // it says what holds from the beginning
		c->billable[c->n_billable++] = b[i];
	}
}

// --- sub-accounts -------------------------------------------------------------------------------------------------------

static bool read_span(struct book_reader *r, const struct yaml_node *entry, const char *end_key, int64_t *from_ms, int64_t *until_ms)
{
	const struct yaml_node *from = yaml_get(entry, "from"), *until = yaml_get(entry, end_key);
	if ((from != NULL && !read_instant(r, from, "`from`", from_ms)) || (until != NULL && !read_instant(r, until, "`until`", until_ms)))
		return false;
	if (*until_ms > *from_ms)
		return true;
	read_fault(r, until, "`%s` is not later than `from`: nothing lies between them", end_key);
	return false;
}

static void read_account(struct book_reader *r, const struct yaml_node *entry, struct name_use *u, struct span *owner)
{
	static const char *const known[] = { "account", "owner", "from", "until", NULL };
	const char *text;
	if (!read_is_map(r, entry, "an entry of `accounts`"))
		return;
	yaml_check_keys(entry, known, r->file, r->faults);
	const struct yaml_node *account = read_required(r, entry, "account", "\"100001234567:dev\"");
	const struct yaml_node *owned_by = read_required(r, entry, "owner", "\"100001234567\"");
	if (account != NULL && read_word(r, account, "account", "._:@-", ID_MOST, &text)) {
		u->name = span_of(text);
		u->line = account->line;
		u->column = account->column;
	}
	if (owned_by != NULL && read_word(r, owned_by, "owner", "._:@-", ID_MOST, &text))
		*owner = span_of(text);
	read_span(r, entry, "until", &u->from_ms, &u->until_ms);
}

// The first use of a name or behind it.
static uint32_t first_use(const struct name_use *uses, uint32_t n, struct span name)
{
	uint32_t low = 0, high = n;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (span_order(uses[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

// One step only: an owner is not itself mapped while it owns.
static void check_owners(struct book_reader *r, const struct name_use *uses, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct span owner = r->book->owners[uses[i].target];
		for (uint32_t k = first_use(uses, n, owner); k < n && span_eq(uses[k].name, owner); k++) {
			if (uses[k].from_ms >= uses[i].until_ms || uses[i].from_ms >= uses[k].until_ms)
				continue;
			fault_add(r->faults, r->file, uses[i].line, uses[i].column,
				  "the owner `%.64s` is itself a sub-account (line %d): name the last owner", owner.p, uses[k].line);
			break;
		}
	}
}

static void check_overlaps(struct book_reader *r, const struct name_use *uses, uint32_t n, const char *what)
{
	for (uint32_t i = 1; i < n; i++) {
		const struct name_use *a = &uses[i - 1], *b = &uses[i];
		if (!span_eq(a->name, b->name) || b->from_ms >= a->until_ms)
			continue;
		if (a->is_id && b->is_id)
			fault_add(r->faults, r->file, b->line, b->column, "service id `%s` stands already in line %d: ids are unique", b->name.p, a->line);
		else if (a->is_id || b->is_id)
			fault_add(r->faults, r->file, a->is_id ? b->line : a->line, a->is_id ? b->column : a->column,
				  "alias `%s` is the id of a service (line %d): remove it, an id needs no alias", b->name.p,
				  a->is_id ? a->line : b->line);
		else
			fault_add(r->faults, r->file, b->line, b->column,
				  "%s `%s` stands already in line %d for the same time: remove one, or end the earlier with `until`", what,
				  b->name.p, a->line);
	}
}

static void read_accounts(struct book_reader *r, const struct yaml_node *list)
{
	struct catalog *c = r->book;
	size_t before = r->faults->n;
	uint32_t n = list != NULL && read_is_list(r, list, "`accounts`") ? list->n : 0;
	struct name_use *uses = read_alloc(r, n, sizeof(*uses));
	c->owners = read_alloc(r, n, sizeof(*c->owners));
	for (uint32_t i = 0; i < n; i++) {
		uses[i] = (struct name_use){ .from_ms = INT64_MIN, .until_ms = INT64_MAX, .target = i };
		read_account(r, list->items[i], &uses[i], &c->owners[i]);
	}
	if (r->faults->n != before)
		return;
	name_uses_sort(uses, n);
	check_overlaps(r, uses, n, "account");
	check_owners(r, uses, n);
	if (r->faults->n == before)
		name_index_build(&c->accounts, &c->arena, uses, n);
	c->n_accounts = n;
}

// --- services -----------------------------------------------------------------------------------------------------------

static void check_groups(struct book_reader *r, const struct name_use *uses, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		if (span_eq(uses[i].name, uses[i - 1].name))
			fault_add(r->faults, r->file, uses[i].line, uses[i].column, "group `%s` stands twice: remove one of them", uses[i].name.p);
}

static void read_groups(struct book_reader *r, const struct yaml_node *list)
{
	static const char *const known[] = { "id", "name", NULL };
	uint32_t n = list != NULL && read_is_list(r, list, "`groups`") ? list->n : 0, got = 0, differ = 0;
	struct name_use *uses = read_alloc(r, n, sizeof(*uses));
	r->group_ids = read_alloc(r, n + 1, sizeof(*r->group_ids));
	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *g = list->items[i];
		const char *unused, *id = NULL;
		if (!read_is_map(r, g, "a group"))
			continue;
		yaml_check_keys(g, known, r->file, r->faults);
		const struct yaml_node *id_node = read_required(r, g, "id", "image-processing"), *name = yaml_get(g, "name");
		if (name != NULL)
			read_text(r, name, "the group's name", NAME_MOST, &unused);
		if (id_node == NULL || !read_word(r, id_node, "group id", "._-", ID_MOST, &id))
			continue;
		uses[got] = (struct name_use){ span_of(id), INT64_MIN, INT64_MAX, got, true, id_node->line, id_node->column };
		r->group_ids[got++] = id;
	}
	name_uses_sort(uses, got);
	check_groups(r, uses, got);
	for (uint32_t i = 0; i < got; i++)
		if (i == 0 || !span_eq(uses[i].name, uses[differ - 1].name))
			uses[differ++] = uses[i];
	name_index_build(&r->groups, &r->book->arena, uses, differ);
}

static void read_other_names(struct book_reader *r, struct service *s, const struct yaml_node *list)
{
	if (list == NULL || !read_is_list(r, list, "`other_names`"))
		return;
	s->other_names = read_alloc(r, list->n + 1, sizeof(*s->other_names));
	for (uint32_t i = 0; i < list->n; i++)
		if (read_text(r, list->items[i], "a name", NAME_MOST, &s->other_names[s->n_other_names]))
			s->n_other_names++;
}

static void read_life(struct book_reader *r, struct service *s, const struct yaml_node *n)
{
	const struct yaml_node *begin = yaml_get(n, "begin"), *end = yaml_get(n, "end"), *successor = yaml_get(n, "successor");
	s->begin_ms = TIME_NONE;
	s->end_ms = INT64_MAX;
	if (begin != NULL)
		read_instant(r, begin, "`begin`", &s->begin_ms);
	if (end != NULL && read_instant(r, end, "`end`", &s->end_ms) && s->end_ms <= s->begin_ms)
		read_fault(r, end, "the service ends before it begins, or at once: `end` must be later than `begin`");
	if (successor != NULL && end == NULL)
		read_fault(r, successor, "a successor of a service without an end: add `end`, or remove `successor`");
	if (successor != NULL)
		read_word(r, successor, "`successor`", "._-", ID_MOST, &s->successor);
}

static void read_group(struct book_reader *r, struct service *s, const struct yaml_node *n)
{
	if (n == NULL || !read_word(r, n, "`group`", "._-", ID_MOST, &s->group) || name_index_find(&r->groups, span_of(s->group), 0) != NULL)
		return;
	const char *near = read_nearest(r, s->group, r->group_ids);
	if (near != NULL)
		read_fault(r, n, "group `%s` is unknown: did you mean `%s`?", s->group, near);
	else
		read_fault(r, n, "group `%s` is unknown: list it under `groups`", s->group);
}

static void read_service(struct book_reader *r, struct service *s, const struct yaml_node *n)
{
	static const char *const known[] = { "id", "name", "other_names", "group", "begin", "end", "successor", "aliases", "prices", "free", NULL };
	s->shared = -1;
	if (!read_is_map(r, n, "a service"))
		return;
	yaml_check_keys(n, known, r->file, r->faults);
	const struct yaml_node *id = read_required(r, n, "id", "image-tag"), *name = read_required(r, n, "name", "图像标签");
	if (id != NULL)
		read_word(r, id, "service id", "._-", ID_MOST, &s->id);
	if (name != NULL)
		read_text(r, name, "the service's name", NAME_MOST, &s->name);
	read_other_names(r, s, yaml_get(n, "other_names"));
	read_group(r, s, yaml_get(n, "group"));
	read_life(r, s, n);
	read_plans(r, s, yaml_get(n, "prices"), yaml_get(n, "free"));
}

// --- names of services --------------------------------------------------------------------------------------------------

static bool read_alias(struct book_reader *r, const struct yaml_node *n, struct catalog_alias *a)
{
	static const char *const known[] = { "name", "from", "until", NULL };
	*a = (struct catalog_alias){ NULL, INT64_MIN, INT64_MAX };
	if (n->kind != YAML_MAP)
		return read_text(r, n, "an alias", ALIAS_MOST, &a->name);
	yaml_check_keys(n, known, r->file, r->faults);
	const struct yaml_node *name = read_required(r, n, "name", "DetectLabel");
	bool ok = name != NULL && read_text(r, name, "an alias", ALIAS_MOST, &a->name);
	return read_span(r, n, "until", &a->from_ms, &a->until_ms) && ok;
}

static uint32_t read_aliases(struct book_reader *r, uint32_t service, const struct yaml_node *list, struct name_use *uses)
{
	struct service *s = &r->book->services[service];
	if (list == NULL || !read_is_list(r, list, "`aliases`"))
		return 0;
	s->aliases = read_alloc(r, list->n, sizeof(*s->aliases));
	for (uint32_t i = 0; i < list->n; i++) {
		struct catalog_alias *a = &s->aliases[s->n_aliases];
		const struct yaml_node *n = list->items[i];
		if (!read_alias(r, n, a))
			continue;
		uses[s->n_aliases++] = (struct name_use){ span_of(a->name), a->from_ms, a->until_ms, service, false, n->line, n->column };
	}
	return s->n_aliases;
}

static void check_successors(struct book_reader *r, const struct yaml_node *list)
{
	const struct catalog *c = r->book;
	for (uint32_t i = 0; i < c->n_services; i++) {
		const struct service *s = &c->services[i];
		const struct yaml_node *at = s->successor != NULL ? yaml_get(list->items[i], "successor") : NULL;
		uint32_t unused;
		bool found = at == NULL || read_find_service(r, s->successor, &unused);
		const char *near = found ? NULL : read_nearest(r, s->successor, r->ids);
		if (!found && near != NULL)
			read_fault(r, at, "successor `%s` is no service: did you mean `%s`?", s->successor, near);
		else if (!found)
			read_fault(r, at, "successor `%s` is no service: name one of this file", s->successor);
		else if (at != NULL && s->id != NULL && strcmp(s->id, s->successor) == 0)
			read_fault(r, at, "`%s` is its own successor: name another service, or remove `successor`", s->id);
	}
}

static int by_service_id(const void *pa, const void *pb, void *services)
{
	const struct service *all = services;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	int c = strcmp(all[a].id, all[b].id);
	return c != 0 ? c : (a > b) - (a < b);
}

static void order_ids(struct book_reader *r)
{
	const struct catalog *c = r->book;
	r->ids = read_alloc(r, c->n_services + 1, sizeof(*r->ids));
	r->by_id = read_alloc(r, c->n_services, sizeof(*r->by_id));
	for (uint32_t i = 0; i < c->n_services; i++) {
		if (c->services[i].id == NULL)
			continue;
		r->ids[r->n_ids] = c->services[i].id;
		r->by_id[r->n_ids++] = i;
	}
	qsort_r(r->by_id, r->n_ids, sizeof(*r->by_id), by_service_id, c->services);
}

bool read_find_service(const struct book_reader *r, const char *id, uint32_t *ret)
{
	uint32_t low = 0, high = r->n_ids;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (strcmp(r->book->services[r->by_id[mid]].id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == r->n_ids || strcmp(r->book->services[r->by_id[low]].id, id) != 0)
		return false;
	*ret = r->by_id[low];
	return true;
}

static uint32_t names_most(const struct yaml_node *list)
{
	uint32_t n = list->n;
	for (uint32_t i = 0; i < list->n; i++) {
		const struct yaml_node *aliases = yaml_get(list->items[i], "aliases");
		n += aliases != NULL && aliases->kind == YAML_LIST ? aliases->n : 0;
	}
	return n;
}

static void read_names(struct book_reader *r, const struct yaml_node *list)
{
	struct catalog *c = r->book;
	struct name_use *uses = read_alloc(r, names_most(list), sizeof(*uses));
	uint32_t n = 0;
	for (uint32_t i = 0; i < c->n_services; i++) {
		const struct yaml_node *id = yaml_get(list->items[i], "id");
		if (c->services[i].id != NULL)
			uses[n++] = (struct name_use){ span_of(c->services[i].id), INT64_MIN, INT64_MAX, i, true, id->line, id->column };
		n += read_aliases(r, i, yaml_get(list->items[i], "aliases"), uses + n);
	}
	size_t before = r->faults->n;
	name_uses_sort(uses, n);
	check_overlaps(r, uses, n, "alias");
	if (r->faults->n == before)
		name_index_build(&c->names, &c->arena, uses, n);
}

static void read_services(struct book_reader *r, const struct yaml_node *list)
{
	struct catalog *c = r->book;
	if (!read_is_list(r, list, "`services`"))
		return;
	if (list->n == 0)
		read_fault(r, list, "no services: list at least one");
	c->n_services = list->n;
	c->services = read_alloc(r, list->n, sizeof(*c->services));
	for (uint32_t i = 0; i < list->n; i++)
		read_service(r, &c->services[i], list->items[i]);
	read_names(r, list);
	order_ids(r);
	check_successors(r, list);
}

static void read_book(struct book_reader *r, const struct yaml_node *root)
{
	static const char *const known[] = { "version", "currency", "time_zone", "rounding", "freeze_basis", "freeze_ratio", "statements",
		"pack_order", "billable_status", "accounts", "groups", "services", "shared_free", NULL };
	if (!read_is_map(r, root, "a price book"))
		return;
	yaml_check_keys(root, known, r->file, r->faults);
	read_head(r, root);
	read_billable(r, yaml_get(root, "billable_status"));
	read_accounts(r, yaml_get(root, "accounts"));
	read_groups(r, yaml_get(root, "groups"));
	const struct yaml_node *services = read_required(r, root, "services", "[…]");
	if (services != NULL)
		read_services(r, services);
	const struct yaml_node *shared = yaml_get(root, "shared_free");
	if (shared != NULL && r->ids != NULL) // without readable services there is nothing to share
		read_shared(r, shared, services);
}

struct catalog *catalog_parse(const char *name, struct span text, struct faults *faults)
{
	size_t before = faults->n;
	CLEANUP(yaml_freep) struct yaml *y = yaml_parse(name, text, faults);
	if (y == NULL)
		return NULL;
	CLEANUP(catalog_freep) struct catalog *c = xcalloc(1, sizeof(*c));
	c->rounding = ROUND_HALF_UP;
	c->freeze_basis = FREEZE_LIST;
	c->freeze_ratio_micro = 1000000;
	digest_sha256_text(text, c->sha256);
	struct book_reader r = { .file = name, .faults = faults, .book = c };
	read_book(&r, yaml_root(y));
	return faults->n == before ? TAKE_PTR(c) : NULL;
}
