// SPDX-License-Identifier: Apache-2.0
// meterd: arguments, wiring, signals, the service manager, exit codes. What it does is in the rooms.
//
// SIGTERM and SIGINT end it in order (finish the batch, commit, leave); SIGHUP reads the files again (tools/reload.h). A configuration that is wrong ends with 78 before anything is
// contacted; servers that are away are waited for, with the service up and /-/ready saying why.
#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "http/http.h"
#include "pipeline/engine.h"
#include "tools/frontend.h"
#include "tools/reload.h"
#include "usage/reader.h"

static const char usage_text[] =
	"usage: meterd --config FILE [--check-config | --print-config]\n"
	"\n"
	"Counts usage events from Kafka into Redis, raises alerts, settles months. Runs until SIGTERM.\n"
	"\n"
	"  --config FILE    the configuration (config/meterd.yaml is a commented sample)\n"
	"  --check-config   report every error of the configuration and of the price book it names: exit 0 or 78\n"
	"  --print-config   print every setting with its value, secrets masked\n"
	"  --version, --help\n"
	"\n"
	"exit codes: 0 stopped in order, 64 usage, 69 a server is unreachable, 70 a defect, 75 try again later\n"
	"(a topic missing, a port in use), 78 what only an edit of files or of a topic's or Redis' settings can mend\n";

enum { ASK_MS = 5000 };

struct run {
	struct engine *engine;
	struct settings *settings;
	struct usage_reader *reader; // NULL without http, and so are the next two
	struct published_reader *published;
	struct feed *feed;
	struct kafka_options kafka;  // its own view
	struct error error;
	enum error_class cls;
	pthread_mutex_t lock;      // of what follows
	struct reload reload;      // the last one
};

static void *run_engine(void *arg)
{
	struct run *r = arg;
	r->cls = engine_run(r->engine, &r->error);
	kill(getpid(), SIGTERM); // wakes main, whatever the reason
	return NULL;
}

static void read_run(struct run *r, struct status *s, bool *ret_progressing)
{
	engine_read(r->engine, s, ret_progressing);
	pthread_mutex_lock(&r->lock);
	s->reload_refused = r->reload.refused;
	s->reload = r->reload.note != NULL ? xstrdup(r->reload.note) : NULL;
	pthread_mutex_unlock(&r->lock);
}

static void read_status(void *ctx, struct status *s)
{
	bool progressing;
	read_run(ctx, s, &progressing);
}

// STATUS line and watchdog: fed only while something moves or the wait is a known one. `ready`: a start or a reload is done.
static void tell_manager(struct run *r, bool ready)
{
	char line[400];
	bool progressing;
	struct status s;
	status_init(&s);
	read_run(r, &s, &progressing);
	status_line(&s, line, sizeof(line));
	(ready ? notify_ready : notify_status)(line);
	if (progressing)
		notify_watchdog();
	status_free(&s);
}

static void reload(struct run *r)
{
	struct reload now = { 0 };
	notify_reloading();
	reload_run(r->settings, r->engine, &now);
	pthread_mutex_lock(&r->lock);
	struct reload before = r->reload;
	r->reload = now;
	pthread_mutex_unlock(&r->lock);
	reload_free(&before);
	tell_manager(r, true);
}

static int wait_for_signal(struct run *r, const sigset_t *signals)
{
	const struct timespec second = { .tv_sec = 1 };
	for (;;) {
		int sig = sigtimedwait(signals, NULL, &second);
		if (sig == SIGHUP)
			reload(r);
		else if (sig > 0)
			return sig;
		else
			tell_manager(r, false);
	}
}

static enum usage_answer ask_usage(void *ctx, const struct usage_question *q, char **ret_json, struct error *why)
{
	return usage_reader_ask(((struct run *)ctx)->reader, q, ret_json, why);
}

static enum usage_answer ask_quote(void *ctx, const struct quote_question *q, char **ret_json, struct error *why)
{
	return usage_reader_quote(((struct run *)ctx)->reader, q, ret_json, why);
}

static void close_readers(struct run *r)
{
	usage_reader_freep(&r->reader);
	published_reader_freep(&r->published);
	feed_freep(&r->feed);
}

// With a store connection of its own: who asks never stands in a worker's way, and waits no longer than ASK_MS for either server's answer.
static enum error_class open_readers(struct run *r)
{
	struct store_options so;
	struct store *store = NULL;
	enum error_class c = settings_store(r->settings, &so, &r->error);
	if (c == ERROR_NONE) {
		so.timeout_ms = so.timeout_ms < ASK_MS ? so.timeout_ms : ASK_MS;
		c = store_redis_open(&so, &store, &r->error);
	}
	if (c != ERROR_NONE)
		return c;
	settings_kafka(r->settings, &r->kafka);
	r->reader = usage_reader_new(&(struct usage_reader_options){ .kafka = &r->kafka, .store = store, .timeout_ms = ASK_MS });
	r->published = published_reader_new(&r->kafka, NULL, ASK_MS);
	r->feed = feed_new(&(struct feed_options){ .kafka = &r->kafka, .topic = r->kafka.alerts_topic });
	return ERROR_NONE;
}

// A socket of the service manager's goes before http.listen.
static enum error_class open_http(struct run *r, struct http **ret)
{
	int sockets = 0, fd = notify_socket(&sockets);
	if (sockets > 1)
		return error_set(&r->error, ERROR_ABORT, EXIT_CONFIG_ERR, "the socket unit hands over %d sockets: use one ListenStream= in it",
				 sockets);
	if (fd < 0 && r->settings->http_listen[0] == '\0')
		return ERROR_NONE;
	if (open_readers(r) != ERROR_NONE)
		return r->error.cls;
	struct http_options ho = { .listen = r->settings->http_listen, .activated = fd >= 0, .fd = fd, .read = read_status, .ctx = r, .ask = ask_usage,
				   .quote = ask_quote, .ask_ctx = r, .published = r->published, .feed = r->feed };
	enum error_class c = http_open(&ho, ret, &r->error);
	if (c == ERROR_NONE)
		feed_start(r->feed);
	return c;
}

static int serve(struct settings *settings, const struct rules *rules, const sigset_t *signals)
{
	struct run run = { .settings = settings, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct http *http = NULL;
	pthread_t thread;
	if (engine_new(settings, rules, &run.engine, &run.error) != ERROR_NONE)
		return fprintf(stderr, "meterd: %s\n", run.error.text), run.error.exit_code;
	if (open_http(&run, &http) != ERROR_NONE) {
		fprintf(stderr, "meterd: %s\n", run.error.text);
		close_readers(&run);
		engine_freep(&run.engine);
		return run.error.exit_code;
	}
	log_line(LVL_INFO, "start", "version=%s instance=%s http_port=%d", METERD_VERSION, settings->instance,
		 http != NULL ? http_port(http) : 0);
	check(pthread_create(&thread, NULL, run_engine, &run) == 0);
	notify_ready("starting: looking at Redis and Kafka");
	wait_for_signal(&run, signals);
	notify_stopping("finishing the open batch");
	engine_stop(run.engine);
	pthread_join(thread, NULL);
	http_freep(&http);
	close_readers(&run);
	engine_freep(&run.engine);
	reload_free(&run.reload);
	char quoted[1100];
	if (run.cls != ERROR_NONE)
		log_line(LVL_ERROR, "stopped", "exit=%d why=%s", run.error.exit_code, log_quote(run.error.text, quoted, sizeof(quoted)));
	else
		log_line(LVL_INFO, "stopped", "exit=0");
	return run.cls != ERROR_NONE ? run.error.exit_code : EXIT_DONE;
}

static sigset_t block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error of the write
	return set;
}

static int run_daemon(const char *file)
{
	static const enum log_level levels[] = { LVL_DEBUG, LVL_INFO, LVL_WARN, LVL_ERROR };
	struct settings *settings = NULL;
	struct rules *rules = NULL;
	sigset_t signals = block_signals();
	int code = frontend_settings(file, &settings);
	if (code == EXIT_DONE)
		code = frontend_rules(settings, &rules); // also reads the zone's data while there is one thread
	if (code == EXIT_DONE) {
		log_set_level(levels[settings->log_level]);
		code = serve(settings, rules, &signals);
	}
	rules_freep(&rules);
	settings_freep(&settings);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' }, { "check-config", no_argument, NULL, 'k' },
						 { "print-config", no_argument, NULL, 'p' }, { "version", no_argument, NULL, 'v' },
						 { "help", no_argument, NULL, 'h' }, { 0 } };
	const char *file = NULL;
	int c, mode = 0;
	json_set_alloc_funcs(xmalloc, free); // what memory it lacks is no JSON that is wrong
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			file = optarg;
		else if (c == 'v')
			return printf("meterd %s\n", METERD_VERSION), EXIT_DONE;
		else if (c == 'h')
			return fputs(usage_text, stdout), EXIT_DONE;
		else if (c == 'k' || c == 'p')
			mode = c;
		else
			return fputs(usage_text, stderr), EXIT_USAGE_ERR;
	}
	if (file == NULL || optind < argc) {
		fprintf(stderr, "meterd: %s\n%s", file == NULL ? "--config FILE is missing" : "too many arguments", usage_text);
		return EXIT_USAGE_ERR;
	}
	return mode == 'k' ? frontend_check(file) : mode == 'p' ? frontend_print(file) : run_daemon(file);
}
