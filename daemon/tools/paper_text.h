// SPDX-License-Identifier: Apache-2.0
// The sentences of tbl/paper.def in one of their languages.
#ifndef TOOLS_PAPER_TEXT_H
#define TOOLS_PAPER_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum paper_lang { PAPER_EN, PAPER_ZH, PAPER_LANGS };
enum paper_text {
#define PAPER(id, en, zh) PAPER_##id,
#include "tbl/paper.def"
#undef PAPER
	PAPER_TEXTS
};

// Writes the sentence with {1} … {n} replaced by args[0 … n).
void paper_put(FILE *to, enum paper_lang lang, enum paper_text id, const char *const *args, uint32_t n);
const char *paper_sentence(enum paper_lang lang, enum paper_text id);
// "zh" or "zh-CN" -> PAPER_ZH; false for what is none of the languages.
bool paper_lang_of(const char *word, enum paper_lang *ret);
// By the locale of messages (LC_ALL, LC_MESSAGES, LANG: the first that is set): Chinese where it begins with zh, else English.
enum paper_lang paper_lang_default(void);

#endif
