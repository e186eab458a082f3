// SPDX-License-Identifier: Apache-2.0
#include "tools/paper_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define PAPER(id, en, zh) _Static_assert(sizeof(en) > 1 && sizeof(zh) > 1, #id " needs both languages");
#include "tbl/paper.def"
#undef PAPER

static const char *const sentences[PAPER_TEXTS][PAPER_LANGS] = {
#define PAPER(id, en, zh) { en, zh },
#include "tbl/paper.def"
#undef PAPER
};

const char *paper_sentence(enum paper_lang lang, enum paper_text id)
{
	check(lang < PAPER_LANGS && id < PAPER_TEXTS);
	return sentences[id][lang];
}

void paper_put(FILE *to, enum paper_lang lang, enum paper_text id, const char *const *args, uint32_t n)
{
	for (const char *s = paper_sentence(lang, id); *s != '\0'; s++) {
		if (s[0] != '{' || s[1] < '1' || s[1] > '9' || s[2] != '}') {
			fputc(*s, to);
			continue;
		}
		uint32_t i = (uint32_t)(s[1] - '1');
		check(i < n);
		fputs(args[i], to);
		s += 2;
	}
}

static bool begins(const char *word, const char *lang)
{
	size_t n = strlen(lang);
	return strncmp(word, lang, n) == 0 && (word[n] == '\0' || word[n] == '_' || word[n] == '-' || word[n] == '.');
}

bool paper_lang_of(const char *word, enum paper_lang *ret)
{
	if (!begins(word, "en") && !begins(word, "zh"))
		return false;
	*ret = begins(word, "zh") ? PAPER_ZH : PAPER_EN;
	return true;
}

enum paper_lang paper_lang_default(void)
{
	static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *word = getenv(names[i]);
		if (word != NULL && word[0] != '\0')
			return begins(word, "zh") ? PAPER_ZH : PAPER_EN;
	}
	return PAPER_EN;
}
