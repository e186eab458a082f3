#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The .deb as files: lintian finds no error, pages render without a word of complaint, completions complete in the shells themselves, and
# what is in it is what should be. Installing and running it is boot.sh's.
set -uo pipefail
. "$(dirname "$0")/../../scripts/lib/common.sh"
. "$ROOT/tests/systemd/deb.sh"
failed=0
fault() { echo "FAIL $*"; failed=1; }
deb=$(made_package) || die "no package"
DIR=$(mktemp -d) || exit 1
trap 'tmux -S "$DIR/tmux" kill-server 2>/dev/null; rm -rf "$DIR"' EXIT
dpkg-deb -x "$deb" "$DIR"
dpkg-deb -f "$deb" Depends

"$PYTHON" -B "$ROOT/scripts/lib/docs.py" --readme "$ROOT" || fault "README's table of symptoms"
lintian --fail-on error --allow-root --suppress-tags initial-upload-closes-no-bugs "$deb" || fault lintian
for want in usr/bin/meterd usr/bin/meterctl etc/meterd/meterd.yaml etc/meterd/catalog.yaml usr/lib/systemd/system/meterd.service \
	usr/lib/systemd/system/meterd@.service usr/lib/systemd/system/meterd.socket usr/lib/sysusers.d/meterd.conf usr/lib/tmpfiles.d/meterd.conf \
	usr/lib/systemd/catalog/meterd.catalog usr/share/meterd/alerts.yaml usr/share/meterd/dashboard.json; do
	[[ -s $DIR/$want ]] || fault "$want is not in it"
done
for page in man8/meterd.8 man1/meterctl.1 man5/meterd.yaml.5 man5/meterd-catalog.5 man7/meterd-events.7; do
	said=$(LC_ALL=C.UTF-8 man --warnings -l "$DIR/usr/share/man/$page.gz" 2>&1 >/dev/null)
	[[ -z $said ]] || fault "$page: $said"
done
page() { LC_ALL=C.UTF-8 MANWIDTH=200 man -l "$DIR/usr/share/man/$1.gz" 2>/dev/null | col -b; }
# Every row of the tables is on its page.
rows() { sed -n "s/^$2(\\([A-Z_a-z]*, \\)\\?\"\\([^\"]*\\)\".*/\\2/p" "$ROOT/daemon/tbl/$1.def"; }
shown() { # page, rows…
	local text p=$1 n=0 row
	shift
	text=$(page "$p")
	for row; do
		[[ $text == *"$row"* ]] || fault "$p does not show $row"
		((++n))
	done
	((n > 0)) || fault "$p: no rows"
}
# shellcheck disable=SC2046
{
	shown man5/meterd.yaml.5 $(rows settings SETTING)
	shown man1/meterctl.1 $(rows command COMMAND)
	shown man8/meterd.8 $(rows metric METRIC) $(rows log LOG)
	shown man7/meterd-events.7 $(rows alert ALERT) $(rows outcome OUTCOME)
}

# -- completions, in the shells
PATH=$DIR/usr/bin:$PATH
complete_bash() { # words… -> candidates of the last one
	bash --norc -c '. "$0/usr/share/bash-completion/completions/meterctl"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _meterctl; printf "%s\n" "${COMPREPLY[@]}"' "$DIR" "$@"
}
complete_fish() { HOME=$DIR XDG_DATA_DIRS=$DIR/usr/share fish --no-config -c "source $DIR/usr/share/fish/vendor_completions.d/meterctl.fish; complete -C '$*'" | cut -f 1; }
expect() { # shell, line, wanted candidate, candidate that must not come
	local got
	# shellcheck disable=SC2086
	if [[ $1 == bash ]]; then got=$(complete_bash ${2% } ${4:-}); else got=$(complete_fish "$2"); fi
	grep -qxF -e "$3" <<<"$got" || fault "$1: completing '$2' gives no $3: $(paste -sd ' ' <<<"$got")"
}
for shell in bash fish; do
	expect $shell 'meterctl sett' settlements
	expect $shell 'meterctl check-c' check-catalog
	expect $shell 'meterctl alerts --fo' --follow
	expect $shell 'meterctl audit --format nd' ndjson
	expect $shell 'meterctl alerts --kind tier' tier.crossed
	expect $shell 'meterctl gen --late' --late
	expect $shell 'meterctl help sta' status
	expect $shell 'meterctl rules di' diff
	expect $shell 'meterctl account pa' pack
	expect $shell 'meterctl rules diff --format nd' ndjson
	while read -r verb; do expect $shell "meterctl $verb" "$verb"; done < <(rows command COMMAND)
done
for part in apply diff list show; do
	grep -qE "^ *$part( |$)" <<<"$(page man1/meterctl.1 | sed -n '/^ *rules$/,/^ *account$/p')" || fault "meterctl(1) does not show rules $part"
done
[[ -z $(complete_bash meterctl rules apply di) ]] || fault "bash: no part behind a part"
[[ -z $(complete_bash meterctl audit --follow) ]] || fault "bash: audit has no --follow"
for f in "$DIR"/usr/share/zsh/vendor-completions/_meter*; do zsh -n "$f" || fault "zsh: $f"; done
# zsh completes only what somebody types: on a terminal.
tm() { tmux -S "$DIR/tmux" "$@"; }
screen_has() { tm capture-pane -p -t zsh | grep -qE -e "$1"; }
tm -f /dev/null new-session -d -s zsh -x 200 -y 50 'zsh -f'
tm send-keys -t zsh "PS1='zsh> '; fpath=($DIR/usr/share/zsh/vendor-completions \$fpath); autoload -Uz compinit; compinit -D; clear; echo be''gun" Enter
wait_until 30 screen_has '^begun' || fault "zsh does not begin"
expect_zsh() { # line, what it becomes
	tm send-keys -t zsh C-u
	tm send-keys -t zsh -l "$1"
	tm send-keys -t zsh Tab
	wait_until 20 screen_has "zsh> $2( |\$)" || fault "zsh: completing '$1' does not make it '$2': $(tm capture-pane -p -t zsh | grep . | tail -n 5)"
}
expect_zsh 'meterctl sett' 'meterctl settlements'
expect_zsh 'meterctl alerts --fol' 'meterctl alerts --follow'
expect_zsh 'meterctl alerts --kind tier' 'meterctl alerts --kind tier.crossed'
expect_zsh 'meterctl audit --format nd' 'meterctl audit --format ndjson'
expect_zsh 'meterctl help statu' 'meterctl help status'
expect_zsh 'meterctl rules di' 'meterctl rules diff'

((failed)) || echo "ok $(basename "$deb"), $(stat -c %s "$deb") bytes"
exit $failed
