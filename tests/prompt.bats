#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
# The prompt, driven through a real terminal.

load helpers

TMUX_ARGS=(-L "vfuctl-$$" -f /dev/null)

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	mkdir home
	start_server
}

teardown() {
	tmux "${TMUX_ARGS[@]}" kill-server 2>/dev/null || :
	stop_server
	stop_peers
}

# Starts the program in a terminal: terminal [ARG]...
terminal() {
	printf '%q ' "$VFUCTL" "$@" >command_line
	cat >start <<-END
		export HOME=$PWD/home XDG_STATE_HOME=$PWD/state PS1='end> '
		unset TMUX
		$(cat command_line) 2>&1
		echo "ended with \$?"
		exec sleep 1000
	END
	tmux "${TMUX_ARGS[@]}" new-session -d -x 110 -y 40 "bash $PWD/start" 3>&-
}

screen() {
	tmux "${TMUX_ARGS[@]}" capture-pane -p
}

shows() {
	screen | grep -Fq -- "$1"
}

# Waits for a text on the screen.
see() {
	until_true shows "$1" || {
		screen
		return 1
	}
}

not_shown() {
	! shows "$1"
}

# The last line that is not empty.
last_line() {
	[ "$(screen | sed '/^$/d' | tail -1)" = "$1" ]
}

see_last() {
	until_true last_line "$1" || {
		screen
		return 1
	}
}

# Types a text; presses a key.
types() {
	tmux "${TMUX_ARGS[@]}" send-keys -l -- "$1"
}

press() {
	tmux "${TMUX_ARGS[@]}" send-keys "$@"
}

enter() {
	types "$1"
	press Enter
}

@test "the prompt shows the connection" {
	terminal
	see_last "vfuctl>"
	enter "connect $SOCK"
	see_last "vfuctl:edu.sock>"
	enter disconnect
	see_last "vfuctl>"
}

@test "commands run, errors are shown, and it goes on" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter "read bar0 0"
	see 0x010000ed
	enter "read bar0 1M"
	see "vfuctl: read: "
	enter "reed"
	see '"reed" is no command'
	enter "read bar0 'x"
	see "a ' is not closed"
	enter "echo a; echo 'b  c' # d"
	see "b  c"
	see_last "vfuctl:edu.sock>"
}

@test "starts of names will do" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter "rea bar0 0"
	see 0x010000ed
	enter "dm li"
	see "DMA_READ"
	enter "re bar0 0"
	see '"re" may be: regions, reset, read, repeat'
}

@test "Tab completes commands, sub-commands, regions, settings, messages and files" {
	touch a_long_file_name
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	types "dis"
	press Tab
	see_last "vfuctl:edu.sock> disconnect"
	press C-u
	types "dma un"
	press Tab
	see_last "vfuctl:edu.sock> dma unmap"
	press C-u
	types "read con"
	press Tab
	types "0 2"
	see_last "vfuctl:edu.sock> read config 0 2"
	press C-u
	types "set ver"
	press Tab
	see_last "vfuctl:edu.sock> set verbose"
	press C-u
	types "send REGION_WRITE_"
	press Tab
	see_last "vfuctl:edu.sock> send REGION_WRITE_MULTI"
	press C-u
	types "repeat 3 expect 1 read vg"
	press Tab
	see_last "vfuctl:edu.sock> repeat 3 expect 1 read vga"
	press C-u
	types "irq unm"
	press Tab
	types "int"
	press Tab
	see_last "vfuctl:edu.sock> irq unmask intx"
	press C-u
	types "read -m con"
	press Tab
	see_last "vfuctl:edu.sock> read -m config"
	press C-u
	types "load -"
	press Tab
	see_last "vfuctl:edu.sock> load -m"
	press C-u
	types "iofds bar0 r"
	press Tab
	see_last "vfuctl:edu.sock> iofds bar0 ring"
	press C-u
	types "source $PWD/a_l"
	press Tab
	see "/a_long_file_name"
	press C-u
	types "dma map 0 4K --no"
	press Tab
	see_last "vfuctl:edu.sock> dma map 0 4K --no-fd"
	press C-u
	types "dma map 0 4K --file $PWD/a_l"
	press Tab
	see_last "vfuctl:edu.sock> dma map 0 4K --file $PWD/a_long_file_name"
	press C-u
	types "migration state res"
	press Tab
	see_last "vfuctl:edu.sock> migration state resuming"
	press C-u
	types "feature get mi"
	press Tab
	see_last "vfuctl:edu.sock> feature get migration"
	press C-u
	types "dirty rep"
	press Tab
	see_last "vfuctl:edu.sock> dirty report"
	press C-u
	types "migration save --p"
	press Tab
	see_last "vfuctl:edu.sock> migration save --precopy"
	press C-u
	types "help trace sh"
	press Tab
	see_last "vfuctl:edu.sock> help trace show"
}

@test "Tab lists what there is when there is more than one" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	types "read b"
	press Tab
	see_last "vfuctl:edu.sock> read bar"
	press Tab
	see "bar0  bar1  bar2"
	see_last "vfuctl:edu.sock> read bar"
}

@test "Ctrl-C drops the line that is typed" {
	terminal
	see "vfuctl>"
	types "echo not this"
	see "not this"
	press C-c
	see "^C"
	enter "echo but that"
	see_last "vfuctl>"
	[ "$(screen | grep -c '^but that$')" -eq 1 ]
	[ "$(screen | grep -c '^not this$')" -eq 0 ]
}

@test "Ctrl-C gives up what runs, not the program" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter "sleep 100s; echo never"
	sleep 0.3
	press C-c
	see "sleep: interrupted"
	enter "poll bar0 0 1 0 0"
	sleep 0.3
	press C-c
	see "poll: interrupted"
	enter "repeat 100000000 write bar0 4 1"
	sleep 0.3
	press C-c
	until_true last_line "vfuctl:edu.sock>"
	enter "read bar0 0"
	see 0x010000ed
}

@test "Ctrl-D and quit leave" {
	terminal
	see "vfuctl>"
	press C-d
	see "ended with 0"
	tmux "${TMUX_ARGS[@]}" kill-server
	terminal
	see "vfuctl>"
	enter quit
	see "ended with 0"
}

@test "a lost connection is said at once, and the line survives" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	types "echo half a li"
	see "half a li"
	stop_server
	see "vfuctl: $SOCK: the server closed the connection"
	see_last "vfuctl> echo half a li"
	types "ne"
	press Enter
	see "half a line"
	enter "read bar0 0"
	see "lost before"
	start_server
	enter "connect $SOCK"
	enter "read bar0 0"
	see 0x010000ed
}

# A peer with one interrupt. It fires it when a line comes through fd 7, and with a second line a
# thousand times.
play_interrupt() {
	local enabled

	enabled=$(printf '%s\n' recv "reply $(u32 16 5 0 1)" recv "reply $(u32 16 5 0 1)" \
		recv reply)
	stop_server
	mkfifo go
	exec 7<>go
	play go <<-END
		version
		$enabled
		await
		fire 0
		await
		$(printf 'fire 0\n%.0s' {1..1000})
		drain
	END
}

@test "an interrupt is shown at once, and the line survives" {
	play_interrupt
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter "irq enable intx"
	types "echo half a li"
	see_last "vfuctl:edu.sock> echo half a li"
	echo >&7
	see "vfuctl: interrupt: intx (masked now)"
	see_last "vfuctl:edu.sock> echo half a li"
	types "ne"
	press Enter
	see "half a line"
	# A storm takes one line, or two if it was noticed between two of its interrupts.
	echo >&7
	see " times) (masked now)"
	enter "irq list"
	see "1001"
	[ "$(screen | grep -c "vfuctl: interrupt: intx")" -le 3 ]
	enter quit
	see "ended with 0"
	exec 7>&-
	played
}

@test "the server's DMA requests are answered while it waits for a key" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter "dma map 0x10000 4K --no-fd; dma write 0x10000 0x5a5a5a5a; write config 4 6 2"
	enter "write bar0 0x80 0x10000 8; write bar0 0x88 0x40000 8; write bar0 0x90 4 8"
	enter "set verbose on; write -p bar0 0x98 1 8"
	see "DMA_READ reply"
	types "read bar0 0x98"
	press Enter
	see 0x00000000
}

@test "messages that pass while a line is typed leave it whole" {
	terminal -v -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter "dma map 0x10000 4K --no-fd; write config 4 6 2; write bar0 0x80 0x10000 8"
	enter "write bar0 0x88 0x40000 8; write bar0 0x90 4 8; echo ready"
	see ready
	enter "write -p bar0 0x98 1 8"
	types "echo a line being typed"
	see "DMA_READ reply"
	see_last "vfuctl:edu.sock> echo a line being typed"
}

@test "history is kept between sessions, in a folder of the user's alone" {
	terminal
	see "vfuctl>"
	enter "echo first"
	enter "echo second"
	see second
	press C-d
	see "ended with 0"
	[ "$(stat -c %a state/vfuctl)" = 700 ]
	[ "$(stat -c %a state/vfuctl/history)" = 600 ]
	tmux "${TMUX_ARGS[@]}" kill-server
	terminal
	see "vfuctl>"
	press Up
	see_last "vfuctl> echo second"
	press C-u
	enter history
	see "1  echo first"
	see "2  echo second"
}

@test "without XDG_STATE_HOME history is in the home folder" {
	terminal
	see "vfuctl>"
	press C-d
	see "ended with 0"
	tmux "${TMUX_ARGS[@]}" kill-server
	sed -i 's/XDG_STATE_HOME=[^ ]*//' start
	tmux "${TMUX_ARGS[@]}" new-session -d -x 110 -y 40 "bash $PWD/start" 3>&-
	see "vfuctl>"
	enter "echo x"
	until_true test -f home/.local/state/vfuctl/history
}

@test "it is usable with a home that cannot be written to" {
	terminal
	see "vfuctl>"
	press C-d
	see "ended with 0"
	tmux "${TMUX_ARGS[@]}" kill-server
	sed -i 's/XDG_STATE_HOME=[^ ]*/XDG_STATE_HOME=\/proc\/none/' start
	tmux "${TMUX_ARGS[@]}" new-session -d -x 110 -y 40 "bash $PWD/start" 3>&-
	see "vfuctl>"
	enter "echo still here"
	see "still here"
}

@test "editrc is heeded" {
	echo 'bind "^T" ed-end-of-file' >home/.editrc
	terminal
	see "vfuctl>"
	press C-t
	see "ended with 0"
}

@test "headings are bold, unless NO_COLOR says otherwise" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter regions
	see bar5
	tmux "${TMUX_ARGS[@]}" capture-pane -p -e | grep -q $'\033\\[1m.*region'
	tmux "${TMUX_ARGS[@]}" kill-server
	export NO_COLOR=1
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter regions
	see bar5
	tmux "${TMUX_ARGS[@]}" capture-pane -p -e >screen
	run ! grep -q $'\033\\[1m' screen
}

@test "serve is not for the prompt" {
	terminal
	see "vfuctl>"
	enter "serve --socket-path=$PWD/x"
	see "serve: not from the prompt"
}

@test "a terminal that changes its size" {
	terminal
	see "vfuctl>"
	types "echo some words"
	see "some words"
	tmux "${TMUX_ARGS[@]}" resize-window -x 60 -y 20
	sleep 0.2
	types " more"
	press Enter
	see "some words more"
	see_last "vfuctl>"
}

@test "SIGTERM ends it" {
	terminal
	see "vfuctl>"
	pid=$(tmux "${TMUX_ARGS[@]}" list-panes -F '#{pane_pid}')
	kill -TERM "$(pgrep -P "$pid" vfuctl)"
	see "ended with 143"
}

@test "a line that wraps survives, too" {
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	types "echo $(printf '%0150d' 0 | tr 0 x)"
	see xxxxx
	stop_server
	see "the server closed the connection"
	see "vfuctl> echo xxx"
	not_shown "vfuctl:edu.sock>"
	[ "$(screen | grep -o x | wc -l)" -ge 150 ]
}

@test "a long transfer shows how far it is, and nothing afterwards" {
	mkfifo pipe
	(for ((i = 0; i < 20; i++)); do head -c 400000 >/dev/null; sleep 0.1; done; cat >/dev/null) \
		<pipe 3>&- &
	PIDS+=($!)
	terminal -s "$SOCK"
	see "vfuctl:edu.sock>"
	enter "dma map 0 8M; dma fill 0 8M 0x0a; dma save 0 8M pipe; echo done"
	see "% "
	see "left"
	see_last "vfuctl:edu.sock>"
	not_shown "left"
	not_shown "% "
}

@test "the prompt connects to the server of the environment" {
	export VFUCTL_SOCKET=$SOCK
	terminal
	see "vfuctl:edu.sock>"
	tmux "${TMUX_ARGS[@]}" kill-server
	export VFUCTL_SOCKET=/nonexistent
	terminal
	see "/nonexistent"
	see_last "vfuctl>"
	unset VFUCTL_SOCKET
	tmux "${TMUX_ARGS[@]}" kill-server
	terminal -s /nonexistent
	see "ended with 3"
}
