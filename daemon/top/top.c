// SPDX-License-Identifier: Apache-2.0
// meterctl top: one thread asks the daemon over HTTP, one follows the alerts, and this one has the terminal. What they learn lies in
// `struct watch` under its lock; nothing of it waits for the network with the lock held.
//
// @locks watch.lock guards everything below it in the struct.
#include <curses.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "period/period.h"
#include "sink/sink.h"
#include "tools/http_get.h"
#include "tools/options.h"
#include "tools/stop.h"
#include "tools/terminal.h"
#include "tools/tools.h"
#include "top/view.h"

enum {
	ASK_EVERY_MS = 1000, ASK_TIMEOUT_MS = 3000, TICK_MS = 100, KEPT = 4, // samples: rates of the last three seconds
	ALERTS_MOST = 500, ALERTS_SINCE_MS = 24 * 3600 * 1000, PAGE = 10,
	KEY_ESC = 27, HTTP_OK = 200,
};

struct watch {
	const char *listen;
	struct kafka_options kafka;
	atomic_bool stop;

	pthread_mutex_t lock;
	struct top_sample kept[KEPT]; // newest first
	int n_kept;
	char away[400];           // empty: it answers
	int64_t away_since_us;
	struct top_alert alerts[ALERTS_MOST]; // newest first
	uint32_t n_alerts;
	char alerts_note[300];
	uint64_t serial;          // grows with whatever is new
};

// ---- what is asked over HTTP

static void take_sample(struct watch *w, struct top_sample *s)
{
	pthread_mutex_lock(&w->lock);
	if (w->n_kept == KEPT)
		top_sample_free(&w->kept[--w->n_kept]);
	memmove(&w->kept[1], &w->kept[0], (size_t)w->n_kept * sizeof(*s));
	w->kept[0] = *s;
	w->n_kept++;
	top_sample_rates(&w->kept[0], w->n_kept > 1 ? &w->kept[w->n_kept - 1] : NULL);
	w->away[0] = '\0';
	w->serial++;
	pthread_mutex_unlock(&w->lock);
}

static void take_absence(struct watch *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	if (w->away[0] == '\0')
		w->away_since_us = clock_mono_us();
	snprintf(w->away, sizeof(w->away), "%s", why);
	while (w->n_kept > 1) // rates do not reach over it
		top_sample_free(&w->kept[--w->n_kept]);
	w->serial++;
	pthread_mutex_unlock(&w->lock);
}

static void ask(struct watch *w)
{
	CLEANUP(freep) char *status = NULL, *metrics = NULL;
	int code = 0, metrics_code = 0;
	struct error e = { 0 };
	struct top_sample s = { 0 };
	if (http_get(w->listen, "/api/v1/status", ASK_TIMEOUT_MS, &code, &status, &e) != ERROR_NONE) {
		take_absence(w, e.text);
		return;
	}
	http_get(w->listen, "/metrics", ASK_TIMEOUT_MS, &metrics_code, &metrics, NULL);
	if (code != HTTP_OK || !top_sample_parse(status, metrics_code == HTTP_OK ? metrics : NULL, clock_mono_us(), &s))
		take_absence(w, "somebody answers there, but not like meterd");
	else
		take_sample(w, &s);
}

static void *asker(void *arg)
{
	struct watch *w = arg;
	while (!atomic_load(&w->stop)) {
		int64_t next_us = clock_mono_us() + ASK_EVERY_MS * 1000;
		ask(w);
		while (!atomic_load(&w->stop) && clock_mono_us() < next_us)
			clock_sleep_ms(TICK_MS / 2);
	}
	return NULL;
}

// ---- alerts

static void field(const json_t *j, const char *key, char *buf, size_t size)
{
	const json_t *v = json_object_get(j, key);
	if (json_is_integer(v))
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else
		snprintf(buf, size, "%s", json_is_string(v) ? json_string_value(v) : "");
}

static void take_alert(struct watch *w, const json_t *envelope)
{
	const json_t *data = json_object_get(envelope, "data");
	struct top_alert a = { 0 };
	field(envelope, "time", a.time, sizeof(a.time));
	field(data, "kind", a.kind, sizeof(a.kind));
	field(data, "account", a.account, sizeof(a.account));
	field(data, "service", a.service, sizeof(a.service));
	field(data, "period", a.period, sizeof(a.period));
	field(data, "threshold", a.threshold, sizeof(a.threshold));
	field(data, "calls_after", a.calls, sizeof(a.calls));
	field(data, "bill_after", a.bill, sizeof(a.bill));
	pthread_mutex_lock(&w->lock);
	uint32_t kept = w->n_alerts < ALERTS_MOST ? w->n_alerts : ALERTS_MOST - 1;
	memmove(&w->alerts[1], &w->alerts[0], kept * sizeof(a));
	w->alerts[0] = a;
	w->n_alerts = kept + 1;
	w->serial++;
	pthread_mutex_unlock(&w->lock);
}

static bool on_record(void *ctx, const struct topic_record *t)
{
	struct watch *w = ctx;
	if (t != NULL && t->r.value.n > 0) {
		json_t *envelope = json_loadb(t->r.value.p, t->r.value.n, JSON_REJECT_DUPLICATES, NULL);
		if (json_is_object(envelope))
			take_alert(w, envelope);
		json_decref(envelope);
	}
	return !atomic_load(&w->stop);
}

static void note(struct watch *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	if (why != NULL)
		snprintf(w->alerts_note, sizeof(w->alerts_note), "alerts cannot be read: %.250s", why);
	else
		snprintf(w->alerts_note, sizeof(w->alerts_note), "no alert in the last 24 hours");
	w->serial++;
	pthread_mutex_unlock(&w->lock);
}

static void on_away(void *ctx, const char *why)
{
	note(ctx, why);
}

static void *follower(void *arg)
{
	struct watch *w = arg;
	struct error e = { 0 };
	if (topic_follow_patiently(&w->kafka, w->kafka.alerts_topic, clock_wall_ms() - ALERTS_SINCE_MS, on_record, on_away, w, &e) != ERROR_NONE)
		note(w, e.text);
	return NULL;
}

// ---- the terminal

static attr_t style_of(enum top_style s, bool colours)
{
	switch (s) {
	case TOP_GOOD: return A_BOLD | (colours ? COLOR_PAIR(TOP_GOOD) : 0);
	case TOP_WARN: return colours ? COLOR_PAIR(TOP_WARN) : 0;
	case TOP_BAD: return A_BOLD | (colours ? COLOR_PAIR(TOP_BAD) : 0);
	case TOP_DIM: return A_DIM;
	case TOP_HEAD: return A_REVERSE;
	default: return A_NORMAL;
	}
}

static void clock_text(char *buf, size_t size)
{
	char rfc[TIME_TEXT];
	time_text(clock_wall_ms(), rfc);
	snprintf(buf, size, "%.8s UTC", rfc + strlen("2020-01-15T"));
}

static void draw(struct watch *w, struct top_ui *ui, bool colours)
{
	char clock[32];
	clock_text(clock, sizeof(clock));
	CLEANUP(freep) struct top_line *lines = xcalloc((size_t)LINES, sizeof(*lines));
	pthread_mutex_lock(&w->lock);
	struct top_view v = { .now = w->n_kept > 0 ? &w->kept[0] : NULL, .away = w->away[0] != '\0' ? w->away : NULL,
			      .away_s = (clock_mono_us() - w->away_since_us) / 1000000, .alerts = w->alerts, .n_alerts = w->n_alerts,
			      .alerts_note = w->alerts_note, .clock = clock, .columns = COLS, .rows = LINES };
	top_view(&v, ui, lines);
	pthread_mutex_unlock(&w->lock);
	erase();
	for (int i = 0; i < LINES; i++) {
		attrset((int)style_of(lines[i].style, colours));
		mvaddstr(i, 0, lines[i].text);
	}
	attrset((int)A_NORMAL);
	refresh();
}

static void typed(struct top_ui *ui, int key)
{
	size_t n = strlen(ui->filter);
	if (key == KEY_ESC) {
		ui->filter[0] = '\0';
		ui->typing = false;
	} else if (key == '\n' || key == '\r' || key == KEY_ENTER) {
		ui->typing = false;
	} else if ((key == KEY_BACKSPACE || key == 0x7f || key == '\b') && n > 0) {
		while (n > 0 && ((unsigned char)ui->filter[--n] & 0xc0) == 0x80)
			continue; // the whole of a character
		ui->filter[n] = '\0';
	} else if (key >= ' ' && key < 0x100 && key != 0x7f && n + 1 < sizeof(ui->filter)) {
		ui->filter[n] = (char)key;
		ui->filter[n + 1] = '\0';
	}
	ui->scroll = 0;
}

// False: quit.
static bool pressed(struct top_ui *ui, int key)
{
	if (ui->typing) {
		typed(ui, key);
		return true;
	}
	switch (key) {
	case 'q': case 'Q': return false;
	case '?': case 'h': ui->help = !ui->help; break;
	case 's': ui->sort = (ui->sort + 1) % TOP_SORTS; break;
	case 'r': ui->reverse = !ui->reverse; break;
	case 'p': ui->paused = !ui->paused; break;
	case '/': ui->typing = true; break;
	case KEY_ESC: ui->filter[0] = '\0'; ui->help = false; break;
	case '\t': ui->chosen = (ui->chosen + 1) % TOP_LISTS; ui->scroll = 0; break;
	case KEY_UP: case 'k': ui->scroll--; break;
	case KEY_DOWN: case 'j': ui->scroll++; break;
	case KEY_PPAGE: ui->scroll -= PAGE; break;
	case KEY_NPAGE: case ' ': ui->scroll += PAGE; break;
	case KEY_HOME: ui->scroll = 0; break;
	default: break;
	}
	return true;
}

static uint64_t serial_of(struct watch *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t n = w->serial + (w->away[0] != '\0' ? (uint64_t)(clock_mono_us() / 1000000) : 0); // how long it is away is news too
	pthread_mutex_unlock(&w->lock);
	return n;
}

static void watch_on_screen(struct watch *w, bool colours)
{
	struct top_ui ui = { .sort = TOP_BY_NAME };
	uint64_t drawn = UINT64_MAX;
	timeout(TICK_MS);
	for (;;) {
		uint64_t serial = serial_of(w);
		if (serial != drawn && !ui.paused)
			draw(w, &ui, colours);
		drawn = ui.paused ? drawn : serial;
		int key = getch();
		if (stop_wait(0) || (key != ERR && !pressed(&ui, key)))
			return;
		if (key != ERR && !ui.paused)
			drawn = UINT64_MAX;
		else if (key != ERR)
			draw(w, &ui, colours);
	}
}

static bool begin_screen(SCREEN **ret)
{
	*ret = newterm(NULL, stdout, stdin);
	if (*ret == NULL)
		return false;
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	bool colours = terminal_colours(stdout) && has_colors() && start_color() == OK;
	if (colours) {
		use_default_colors();
		init_pair(TOP_GOOD, COLOR_GREEN, -1);
		init_pair(TOP_WARN, COLOR_YELLOW, -1);
		init_pair(TOP_BAD, COLOR_RED, -1);
	}
	return true;
}

// Words of libraries would tear the screen: they go nowhere while it is there.
static int silence(void)
{
	int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
	return kept;
}

static int run(struct watch *w, const struct options *o)
{
	pthread_t threads[2];
	SCREEN *screen = NULL;
	fflush(stderr);
	int kept = silence();
	if (!begin_screen(&screen)) {
		dup2(kept, STDERR_FILENO);
		close(kept);
		return options_usage(o, "the terminal \"%s\" is not known here; `meterctl status` needs none", getenv("TERM"));
	}
	bool colours = terminal_colours(stdout) && has_colors();
	check(pthread_create(&threads[0], NULL, asker, w) == 0 && pthread_create(&threads[1], NULL, follower, w) == 0);
	watch_on_screen(w, colours);
	endwin();
	delscreen(screen);
	atomic_store(&w->stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	dup2(kept, STDERR_FILENO);
	close(kept);
	while (w->n_kept > 0)
		top_sample_free(&w->kept[--w->n_kept]);
	return EXIT_DONE;
}

int tool_top(int argc, char **argv)
{
	CLEANUP(options_close) struct options o = { .verb = argv[0] };
	int code = options_parse(&o, argc, argv, NULL, 0, NULL, 0, 0);
	if (code != OPTIONS_GO_ON || (code = options_settings(&o)) != OPTIONS_GO_ON)
		return code;
	if (!terminal_is(stdout) || !isatty(STDIN_FILENO))
		return options_usage(&o, "needs a terminal; for programs there is `meterctl status --format json`");
	if (o.settings->http_listen[0] == '\0')
		return options_usage(&o, "http.listen is empty, so the daemon cannot be asked");
	struct watch *w = xcalloc(1, sizeof(*w));
	w->listen = o.settings->http_listen;
	options_kafka(&o, &w->kafka);
	pthread_mutex_init(&w->lock, NULL);
	note(w, NULL);
	stop_block();
	code = run(w, &o);
	free(w);
	return code;
}
