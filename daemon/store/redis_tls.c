// SPDX-License-Identifier: Apache-2.0
#include "store/redis_tls.h"

#include "base/check.h"

#ifdef METERD_REDIS_TLS

#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct redis_tls {
	SSL_CTX *ctx;
};

bool store_redis_tls(void)
{
	return true;
}

// Nobody is there to be asked for the password of a key.
static int no_password(char *buf, int size, int writing, void *ctx)
{
	(void)buf, (void)size, (void)writing, (void)ctx;
	return -1;
}

static enum error_class unusable(const char *setting, const char *path, struct error *e)
{
	const char *why = ERR_reason_error_string(ERR_peek_error());
	error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "%s %s: cannot be used (%s): it must be readable, PEM, without a password, and key and certificate must fit",
		  setting, path, why != NULL ? why : "cannot be read");
	ERR_clear_error();
	return ERROR_ABORT;
}

static enum error_class load(SSL_CTX *ctx, const struct store_options *o, struct error *e)
{
	ERR_clear_error();
	if (o->ca_file != NULL ? SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL) != 1 : SSL_CTX_set_default_verify_paths(ctx) != 1)
		return unusable("redis.tls_ca_file", o->ca_file != NULL ? o->ca_file : "(the system's)", e);
	if (o->cert_file != NULL && SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1)
		return unusable("redis.tls_cert_file", o->cert_file, e);
	if (o->key_file != NULL && SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) != 1)
		return unusable("redis.tls_key_file", o->key_file, e);
	return ERROR_NONE;
}

enum error_class redis_tls_new(const struct store_options *o, struct redis_tls **ret, struct error *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	check(ctx != NULL);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	enum error_class cls = load(ctx, o, e);
	if (cls != ERROR_NONE) {
		SSL_CTX_free(ctx);
		return cls;
	}
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->ctx = ctx;
	return ERROR_NONE;
}

void redis_tls_free(struct redis_tls *t)
{
	if (t != NULL)
		SSL_CTX_free(t->ctx);
	free(t);
}

enum error_class redis_tls_begin(struct redis_tls *t, redisContext *c, const char *host, struct error *e)
{
	SSL *ssl = SSL_new(t->ctx);
	check(ssl != NULL);
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1)
		check(SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1);
	ERR_clear_error();
	if (redisInitiateSSL(c, ssl) == REDIS_OK)
		return ERROR_NONE; // the connection frees it
	long verdict = SSL_get_verify_result(ssl);
	error_set(e, ERROR_RETRY, 0, "TLS: %s", verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : c->errstr);
	SSL_free(ssl);
	ERR_clear_error();
	return ERROR_RETRY;
}

#else

bool store_redis_tls(void)
{
	return false;
}

enum error_class redis_tls_new(const struct store_options *o, struct redis_tls **ret, struct error *e)
{
	(void)o, (void)ret;
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, "redis.url: " STORE_NO_TLS);
}

void redis_tls_free(struct redis_tls *t)
{
	check(t == NULL);
}

enum error_class redis_tls_begin(struct redis_tls *t, redisContext *c, const char *host, struct error *e)
{
	(void)t, (void)c, (void)host;
	return error_set(e, ERROR_ABORT, EXIT_CONFIG_ERR, STORE_NO_TLS);
}

#endif
