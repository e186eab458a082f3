// SPDX-License-Identifier: Apache-2.0
// The page, compiled in: daemon/http/page, put together once with its chart library. It needs nothing from elsewhere, and its policy
// allows nothing else: the script and the style are named by their hashes. Private to the room.
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include <stddef.h>

struct page {
	char *text, *policy; // owned
	size_t n;
};
void page_init(struct page *p);
void page_free(struct page *p);

#endif
