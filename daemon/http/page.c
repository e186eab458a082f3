// SPDX-License-Identifier: Apache-2.0
#include "http/page.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "http/page/page_css.h"
#include "http/page/page_html.h"
#include "http/page/page_js.h"
#include "http/page/uPlot_iife_min_js.h"
#include "http/page/uPlot_min_css.h"

static const char style_mark[] = "@@STYLE@@", script_mark[] = "@@SCRIPT@@";

void page_init(struct page *p)
{
	CLEANUP(freep) char *style = xasprintf("%s\n%s", uPlot_min_css, page_css), *script = xasprintf("%s\n%s", uPlot_iife_min_js, page_js);
	char style_hash[DIGEST_SHA256_BASE64], script_hash[DIGEST_SHA256_BASE64];
	const char *a = strstr(page_html, style_mark), *b = strstr(page_html, script_mark);
	check(a != NULL && b != NULL && a < b);
	digest_sha256_base64(span_of(style), style_hash);
	digest_sha256_base64(span_of(script), script_hash);
	p->text = xasprintf("%.*s%s%.*s%s%s", (int)(a - page_html), page_html, style, (int)(b - a - (ptrdiff_t)strlen(style_mark)), a + strlen(style_mark), script,
			    b + strlen(script_mark));
	p->n = strlen(p->text);
	p->policy = xasprintf("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; connect-src 'self'; img-src data:; base-uri 'none'; "
			      "form-action 'none'; frame-ancestors 'none'",
			      script_hash, style_hash);
}

void page_free(struct page *p)
{
	free(p->text);
	free(p->policy);
	*p = (struct page){ 0 };
}
