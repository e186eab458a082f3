// SPDX-License-Identifier: Apache-2.0
// A bill as a person would work it out on paper. The steps are computed again while they are written: where a figure of a
// settlement does not follow from the figures before it, the paper says so.
#ifndef TOOLS_PAPER_H
#define TOOLS_PAPER_H

#include <stdio.h>

#include "rating/rating.h"

struct paper_pack {
	const char *id;
	int64_t calls;
};

struct paper {
	const char *account, *service, *name, *period, *version, *currency; // account, name, version: may be NULL
	const struct plan *plan;         // NULL: not known
	bool free_month;                 // known to be at price 0
	int64_t quota;                   // -1: not known
	int64_t calls, free, billable;
	uint32_t n_packs, n_slices;
	struct paper_pack packs[RATING_MAX_PACKS];
	bool sliced;                     // slices instead of tier and price
	struct rating_slice *slices;
	uint32_t tier;                   // from 0
	int64_t price_micro, per;
	enum tier_basis tier_basis;
	enum rounding rounding;
	amount_pico exact;
	int64_t charge_fen;
	bool has_freeze;
	int64_t unfreeze_fen, freeze_fen;
	bool adjusts;                    // a later revision
	int64_t revision, adjusts_revision, adjusts_calls, adjusts_charge_fen, difference_fen;
};

// Writes the steps; returns the number of steps that do not add up.
int paper_write(FILE *to, const struct paper *p);
// Reads a settlement, the CloudEvent or its data. What the paper points to lives in *ret_json (a json_t; json_decref it). False
// with *why in words.
bool paper_of_json(const char *text, size_t n, struct paper *p, void **ret_json, char why[200]);

#endif
