// SPDX-License-Identifier: Apache-2.0
// Preloaded into a program: the allocation number NO_MEMORY_AT (from 1) fails, once, in whichever thread and library it is made.
// 0 or absent: none. NO_MEMORY_OURS: those that librdkafka and the C library's own start make are not counted; librdkafka ends the
// process by abort() where it lacks memory, which is a kill like any other.
// At an orderly end the number of allocations is appended to the file NO_MEMORY_COUNT. The one that fails says so on stderr, with the frames below it.
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

static atomic_ulong calls;
static unsigned long at;
static bool ready, ours;
static uintptr_t passed_from, passed_to; // librdkafka's code

static int find(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	if (strstr(info->dlpi_name, "librdkafka") == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		if (h->p_type == PT_LOAD && (h->p_flags & PF_X) != 0) {
			passed_from = info->dlpi_addr + h->p_vaddr;
			passed_to = passed_from + h->p_memsz;
		}
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *number = getenv("NO_MEMORY_AT");
	at = number != NULL ? strtoul(number, NULL, 10) : 0;
	ours = getenv("NO_MEMORY_OURS") != NULL;
	dl_iterate_phdr(find, NULL);
	void *frame;
	backtrace(&frame, 1); // loads what it needs
	unsetenv("LD_PRELOAD");
	ready = true;
}

__attribute__((destructor)) static void end(void)
{
	char text[32];
	const char *file = getenv("NO_MEMORY_COUNT");
	int n = snprintf(text, sizeof(text), "%lu\n", atomic_load(&calls)), fd = file != NULL ? open(file, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
	if (fd >= 0 && write(fd, text, (size_t)n) == n)
		close(fd);
}

static bool fails(const void *caller)
{
	static const char text[] = "no_memory: this allocation fails\n";
	uintptr_t from = (uintptr_t)caller;
	if (!ready || (ours && from >= passed_from && from < passed_to) || atomic_fetch_add(&calls, 1) + 1 != at)
		return false;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(111);
	void *frames[30];
	backtrace_symbols_fd(frames, backtrace(frames, 30), STDERR_FILENO);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}
