// SPDX-License-Identifier: Apache-2.0
#include "tools/frontend.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"

static void report(const struct faults *f, struct span text)
{
	faults_print(f, text, stderr);
	fprintf(stderr, "%zu error%s\n", f->n, f->n == 1 ? "" : "s");
}

struct settings *frontend_load(const char *file, struct faults *f)
{
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	struct settings *s = settings_load(file, f, &text, &n);
	if (s == NULL)
		report(f, (struct span){ text, n });
	return s;
}

int frontend_settings(const char *file, struct settings **ret)
{
	struct faults f = { 0 };
	struct settings *s = frontend_load(file, &f);
	faults_free(&f);
	if (s == NULL)
		return EXIT_CONFIG_ERR;
	*ret = s;
	return EXIT_DONE;
}

// Faults of a price book; *ret_text stays set for their lines.
static bool load_catalog(const char *path, struct faults *f, char **ret_text, size_t *ret_n)
{
	struct error e = { 0 };
	if (file_read(path, FRONTEND_CATALOG_MOST, ret_text, ret_n, &e) == ERROR_NONE)
		return true;
	fault_add(f, path, 0, 0, "the price book %s", e.text);
	return false;
}

struct rules *frontend_load_rules(const struct settings *s, struct faults *f)
{
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	struct rules_settings rs;
	settings_rules(s, &rs);
	struct rules *r = NULL;
	if (load_catalog(s->catalog, f, &text, &n))
		r = rules_new(&rs, s->catalog, (struct span){ text, n }, f);
	if (r == NULL)
		report(f, (struct span){ text, n });
	return r;
}

int frontend_rules(const struct settings *s, struct rules **ret)
{
	struct faults f = { 0 };
	struct rules *r = frontend_load_rules(s, &f);
	faults_free(&f);
	if (r == NULL)
		return EXIT_CONFIG_ERR;
	*ret = r;
	return EXIT_DONE;
}

static size_t check_catalog(const char *path)
{
	struct faults f = { 0 };
	CLEANUP(freep) char *text = NULL;
	CLEANUP(catalog_freep) struct catalog *c = NULL;
	size_t n = 0;
	if (load_catalog(path, &f, &text, &n))
		c = catalog_parse(path, (struct span){ text, n }, &f);
	if (c != NULL)
		printf("%s: good, version %s, %u services\n", path, catalog_version(c), catalog_services(c));
	size_t faults = f.n;
	faults_print(&f, (struct span){ text, n }, stderr);
	faults_free(&f);
	return faults;
}

// A credential of the service manager's lies there for the service's own process only: not before its start, and not for the check
// that goes before a reload. The process itself reads it, and ends with 78 where it cannot.
static bool credential_of_another(const char *path)
{
	return strncmp(path, "/run/credentials/", strlen("/run/credentials/")) == 0 && access(path, R_OK) != 0;
}

static size_t check_password(const struct settings *s, const char *setting, const char *path)
{
	struct error e = { 0 };
	char *password = NULL;
	if (path[0] != '\0' && credential_of_another(path)) {
		printf("%s: %s is a credential of the service, which alone can read it: not looked at\n", s->file, setting);
	} else if (path[0] != '\0' && file_read_password(setting, path, &password, &e) != ERROR_NONE) {
		fprintf(stderr, "%s: error: %s\n", s->file, e.text);
		return 1;
	}
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
	return 0;
}

int frontend_check(const char *file)
{
	struct faults f = { 0 };
	CLEANUP(freep) char *text = NULL;
	size_t n = 0;
	CLEANUP(settings_freep) struct settings *s = settings_load(file, &f, &text, &n);
	size_t faults = f.n;
	faults_print(&f, (struct span){ text, n }, stderr);
	faults_free(&f);
	CLEANUP(freep) char *catalog = s != NULL ? xstrdup(s->catalog) : settings_catalog_path(file, (struct span){ text, n });
	if (s != NULL) {
		faults += check_password(s, "redis.password_file", s->redis_password_file);
		faults += check_password(s, "kafka.password_file", s->kafka_password_file);
		if (faults == 0)
			printf("%s: good\n", file);
	}
	if (catalog != NULL)
		faults += check_catalog(catalog);
	if (faults > 0)
		fprintf(stderr, "%zu error%s\n", faults, faults == 1 ? "" : "s");
	return faults > 0 ? EXIT_CONFIG_ERR : EXIT_DONE;
}

int frontend_print(const char *file)
{
	CLEANUP(settings_freep) struct settings *s = NULL;
	int code = frontend_settings(file, &s);
	if (code == EXIT_DONE)
		settings_print(s, stdout);
	return code;
}
