/* The verbs: one row each, and nothing else repeats the list. */
#include "client/cli/cli.h"

#include <limits.h>

#include "client/picture/picture.h"
#include "client/cli/unit.h"

#define SECONDS(n) ((n)*INT64_C(1000))

/* clang-format off */
static const struct option_row up_options[] = {
    {.name = "--config", .kind = OPTION_TEXT, .offset = OPTION_FIELD(config), .value = "FILE",
     .help = "its configuration; default: prong.yaml here, in ~/.config/prong or in /etc/prong"},
    {.name = "--foreground", .kind = OPTION_FLAG, .offset = OPTION_FIELD(foreground),
     .help = "become prongd instead of starting it in the background; the exit codes are its own"},
    {.name = NULL},
};
static const struct option_row status_options[] = {
    {.name = "--check", .kind = OPTION_FLAG, .offset = OPTION_FIELD(check),
     .help = "exit 0 only if every worker that starts by itself (or the ones named) is ready, else 3"},
    {.name = "--clients", .kind = OPTION_FLAG, .offset = OPTION_FIELD(clients),
     .help = "instead: who is connected or has calls in the hub, and what share each has"},
    {.name = NULL},
};
static const struct option_row change_options[] = {
    {.name = "--no-wait", .kind = OPTION_FLAG, .offset = OPTION_FIELD(no_wait),
     .help = "return when the hub has taken it, not when it is so"},
    {.name = NULL},
};
static const struct option_row doctor_options[] = {
    {.name = "--output", .letter = 'o', .kind = OPTION_TEXT, .offset = OPTION_FIELD(bundle),
     .value = "PATH", .help = "the bundle: a file that ends with .tar.gz, .tgz or .tar, else a new "
     "folder; default: prong-doctor-TIME.tar.gz here"},
    {.name = "--check", .kind = OPTION_FLAG, .offset = OPTION_FIELD(check),
     .help = "only the checks: write no bundle"},
    {.name = NULL},
};
static const struct option_row help_options[] = {
    {.name = "--man", .kind = OPTION_FLAG, .offset = OPTION_FIELD(man),
     .help = "print the manual page prong(1), for man -l -"},
    {.name = NULL},
};
static const struct option_row signal_options[] = {
    {.name = "--group", .kind = OPTION_FLAG, .offset = OPTION_FIELD(group),
     .help = "to the process group: what the worker started, too, unless that made a group of its own"},
    {.name = NULL},
};
static const struct option_row logs_options[] = {
    {.name = "--lines", .letter = 'n', .kind = OPTION_COUNT, .offset = OPTION_FIELD(lines),
     .value = "N", .min = 0, .max = 1000,
     .help = "how many of the last lines; default: 20, with --since all that the hub has"},
    {.name = "--follow", .letter = 'f', .kind = OPTION_FLAG, .offset = OPTION_FIELD(follow),
     .help = "then print lines as they come"},
    {.name = "--since", .kind = OPTION_TEXT, .offset = OPTION_FIELD(since), .value = "TIME",
     .help = "no lines that are older: a span such as 5m, 12:00, or '2026-01-31 12:00'"},
    {.name = "--level", .kind = OPTION_TEXT, .offset = OPTION_FIELD(level), .value = "LEVEL",
     .allowed = "error warn info debug", .help = "the least important lines that are printed"},
    {.name = "--set-level", .kind = OPTION_TEXT, .offset = OPTION_FIELD(set_level),
     .value = "LEVEL", .allowed = "error warn info debug",
     .help = "print nothing: what is less important than this is not logged from now on, of the "
     "workers that are named, or of the hub itself"},
    {.name = NULL},
};
static const struct option_row send_options[] = {
    {.name = "--end", .kind = OPTION_FLAG, .offset = OPTION_FIELD(end),
     .help = "nothing follows: the program sees the end of its stdin"},
    {.name = NULL},
};
static const struct option_row env_options[] = {
    {.name = "--reveal", .kind = OPTION_FLAG, .offset = OPTION_FIELD(reveal),
     .help = "secrets as they are, not as ***"},
    {.name = NULL},
};
static const struct option_row config_init_options[] = {
    {.name = "--force", .kind = OPTION_FLAG, .offset = OPTION_FIELD(force),
     .help = "also when the file is there already"},
    {.name = NULL},
};
static const struct option_row config_show_options[] = {
    {.name = "--worker", .kind = OPTION_TEXT, .offset = OPTION_FIELD(worker), .value = "WORKER",
     .help = "this one alone"},
    {.name = NULL},
};
static const struct option_row config_import_options[] = {
    {.name = "--kind", .kind = OPTION_TEXT, .offset = OPTION_FIELD(kind), .value = "KIND",
     .allowed = "supervisor circus procfile", .help = "what the file is; default: as it looks"},
    {.name = NULL},
};
static const struct option_row config_manual_options[] = {
    {.name = "--man", .kind = OPTION_FLAG, .offset = OPTION_FIELD(man),
     .help = "as a man page, for man -l"},
    {.name = NULL},
};
#define EACH_ROWS \
    {.name = "--each", .kind = OPTION_FLAG, .offset = OPTION_FIELD(each), \
     .help = "print each item of a method that yields as it comes, one line of JSON each"}, \
    {.name = "--progress", .kind = OPTION_FLAG, .offset = OPTION_FIELD(progress), \
     .help = "tell progress on stderr even when that is no terminal, one line each"}
static const struct option_row call_options_rows[] = {
    {.name = "--timeout", .kind = OPTION_DURATION, .offset = OPTION_FIELD(timeout_ms),
     .value = "TIME", .min = 1, .max = PRONG_TTL_MS_MAX,
     .help = "the deadline of the call, from 1ms to 1h"},
    EACH_ROWS,
    {.name = "--map", .kind = OPTION_TEXT, .offset = OPTION_FIELD(map), .value = "FILE",
     .help = "call it once for each line of the file, or of stdin with -: JSON Lines, an object "
     "or array of arguments each"},
    {.name = "--ordered", .kind = OPTION_FLAG, .offset = OPTION_FIELD(ordered),
     .help = "with --map: outcomes in the order of the lines, not as they come"},
    {.name = "--key", .kind = OPTION_TEXT, .offset = OPTION_FIELD(key), .value = "KEY",
     .help = "calls with the same key go to the same replica for as long as it serves"},
    {.name = "--priority", .kind = OPTION_COUNT, .offset = OPTION_FIELD(priority), .value = "N",
     .min = 1, .max = 9, .help = "of the calls that wait the highest goes first: 1 to 9; default: 5"},
    {.name = "--policy", .kind = OPTION_TEXT, .offset = OPTION_FIELD(policy), .value = "HOW",
     .allowed = "once idempotent shared",
     .help = "once, idempotent or shared: it begins at most as often as both this and its method "
     "allow; default: as the method says"},
    {.name = "--lease", .kind = OPTION_FLAG, .offset = OPTION_FIELD(lease),
     .help = "take a replica that serves nobody else meanwhile, call it, and give it back"},
    {.name = "--background", .kind = OPTION_FLAG, .offset = OPTION_FIELD(background),
     .help = "print a handle as soon as the hub has accepted the call, which runs on by itself"},
    {.name = NULL},
};
static const struct option_row retry_options[] = {
    EACH_ROWS,
    {.name = NULL},
};
static const struct option_row emit_options[] = {
    {.name = "--json", .kind = OPTION_TEXT, .offset = OPTION_FIELD(json), .value = "JSON",
     .help = "the payload: any JSON; - reads it from stdin"},
    {.name = NULL},
};
static const struct option_row events_options[] = {
    {.name = "--from", .kind = OPTION_TEXT, .offset = OPTION_FIELD(from), .value = "WHERE",
     .help = "a number, oldest, last (the newest of each topic, then what follows) or new (default)"},
    {.name = "--count", .letter = 'n', .kind = OPTION_COUNT, .offset = OPTION_FIELD(count),
     .value = "N", .min = 1, .max = INT64_MAX, .help = "end after so many"},
    {.name = "--until", .kind = OPTION_TEXT, .offset = OPTION_FIELD(until), .value = "FILTER",
     .help = "end after the first event of this topic; or a time such as 5s: end when it has passed, "
     "with exit code 124 if --count was not reached"},
    {.name = NULL},
};
static const struct option_row wait_options[] = {
    {.name = "--call", .kind = OPTION_TEXT, .offset = OPTION_FIELD(call), .value = "HANDLE",
     .help = "wait for a call in the background instead, and print its outcome"},
    EACH_ROWS,
    {.name = "--for", .kind = OPTION_TEXT, .offset = OPTION_FIELD(goal), .value = "WHAT",
     .allowed = "ready exited stopped failed event",
     .help = "ready (default): all replicas are; stopped: none runs or will; exited: one ended; "
     "failed: one has, and is not started again; event: one came of the TOPICs, and is printed"},
    {.name = "--any", .kind = OPTION_FLAG, .offset = OPTION_FIELD(any),
     .help = "of several workers one is enough"},
    {.name = "--exit-status", .kind = OPTION_FLAG, .offset = OPTION_FIELD(exit_status),
     .help = "with --for exited: end with the exit code of the process, 128 and the signal if it was "
     "killed; of several the first that is not 0"},
    {.name = "--event", .kind = OPTION_TEXT, .offset = OPTION_FIELD(event), .value = "FILTER",
     .help = "the same as --for event FILTER"},
    {.name = "--count", .letter = 'n', .kind = OPTION_COUNT, .offset = OPTION_FIELD(count),
     .value = "N", .min = 1, .max = INT64_MAX, .help = "wait for so many events; default: 1"},
    {.name = "--from", .kind = OPTION_TEXT, .offset = OPTION_FIELD(from), .value = "WHERE",
     .help = "where the events begin, as for prong events"},
    {.name = NULL},
};
static const struct option_row run_options[] = {
    {.name = "--name", .kind = OPTION_TEXT, .offset = OPTION_FIELD(name), .value = "NAME",
     .help = "of the worker (for that of the hub, write --name before 'run'); default: the "
     "program's or its script's"},
    {.name = "--replicas", .kind = OPTION_COUNT, .offset = OPTION_FIELD(replicas), .value = "N",
     .min = 1, .max = 256, .help = "how many processes; default: 1"},
    {.name = "--restart", .kind = OPTION_TEXT, .offset = OPTION_FIELD(restart), .value = "WHEN",
     .allowed = "no on-failure always", .help = "no, on-failure (default) or always"},
    {.name = "--ready", .kind = OPTION_TEXT, .offset = OPTION_FIELD(ready), .value = "WHEN",
     .allowed = "attach started",
     .help = "ready when it has attached to the hub (default), or as soon as it runs"},
    {.name = "--lines", .kind = OPTION_TEXT, .offset = OPTION_FIELD(run_output), .value = "WHERE",
     .allowed = "log events",
     .help = "what becomes of the lines that it writes: log (default), or events WORKER.line, too"},
    {.name = "--log", .kind = OPTION_TEXT, .offset = OPTION_FIELD(run_log), .value = "WHERE",
     .allowed = "file journal inherit none",
     .help = "where its lines go: file (default), journal, inherit (the hub's stderr) or none"},
    {.name = "--stdin", .kind = OPTION_TEXT, .offset = OPTION_FIELD(run_stdin), .value = "WHAT",
     .allowed = "none pipe", .help = "none (default), or pipe: what prong send sends"},
    {.name = "--env", .kind = OPTION_TEXTS, .offset = OPTION_FIELD(environment), .value = "K=V",
     .help = "a variable added to the environment, which is the hub's otherwise; may be given often"},
    {.name = "--preload", .kind = OPTION_TEXTS, .offset = OPTION_FIELD(preload), .value = "MODULE",
     .help = "a Python module that its processes share, see preload in prong config manual; may be "
             "given often"},
    {.name = NULL},
};

static const struct option_row top_options[] = {
    {.name = "--delay", .letter = 'd', .kind = OPTION_DURATION, .offset = OPTION_FIELD(delay_ms),
     .value = "TIME", .min = 100, .max = 3600000, .help = "between two pictures, from 100ms to 1h; default: 1s"},
    {.name = "--sort", .kind = OPTION_TEXT, .offset = OPTION_FIELD(sort), .value = "COLUMN",
     .allowed = "worker state pid cpu memory calls p50 p99 queue run restarts error",
     .help = "worker (default), state, pid, cpu, memory, calls, p50, p99, queue, run, restarts, error"},
    {.name = "--filter", .kind = OPTION_TEXT, .offset = OPTION_FIELD(filter), .value = "TEXT",
     .help = "only workers with this in their name"},
    {.name = "--expand", .kind = OPTION_FLAG, .offset = OPTION_FIELD(expand),
     .help = "show the replicas of all workers"},
    {.name = "--batch", .letter = 'b', .kind = OPTION_FLAG, .offset = OPTION_FIELD(batch),
     .help = "write pictures as text, one after another, and read no keys"},
    {.name = "--count", .letter = 'n', .kind = OPTION_COUNT, .offset = OPTION_FIELD(count),
     .value = "N", .min = 1, .max = INT64_MAX, .help = "with --batch: end after so many"},
    {.name = "--once", .kind = OPTION_FLAG, .offset = OPTION_FIELD(once),
     .help = "the same as --batch --count 1"},
    {.name = NULL},
};

#define FRAMES_ROW \
    {.name = "--count", .letter = 'n', .kind = OPTION_COUNT, .offset = OPTION_FIELD(count), \
     .value = "N", .min = 1, .max = INT64_MAX, .help = "end after so many frames"}
static const struct option_row watch_options[] = {
    FRAMES_ROW,
    {.name = "--window", .kind = OPTION_DURATION, .offset = OPTION_FIELD(window_ms),
     .value = "TIME", .min = 100, .max = 3600000,
     .help = "of how much time each line tells, from 100ms to 1h; default: 1s"},
    {.name = NULL},
};
static const struct option_row cat_options[] = {
    FRAMES_ROW,
    {.name = "--policy", .kind = OPTION_TEXT, .offset = OPTION_FIELD(policy), .value = "HOW",
     .allowed = "latest lossless",
     .help = "latest (default): what is not read in time is missed; lossless: the writer waits"},
    {.name = NULL},
};
static const struct option_row snap_options[] = {
    {.name = "--output", .letter = 'o', .kind = OPTION_TEXT, .offset = OPTION_FIELD(bundle),
     .value = "FILE", .help = "a .png, .ppm or .pgm, or - for a PNG on stdout; default: "
     "STREAM.png here"},
    {.name = "--format", .kind = OPTION_TEXT, .offset = OPTION_FIELD(format), .value = "FORMAT",
     .allowed = PICTURE_FORMATS,
     .help = "gray8, rgb24, bgr24, rgba or bgra: what the bytes are; default: what the frame says "
     "of itself (\"format\" in its map), else gray8, rgb24 or rgba"},
    {.name = NULL},
};
static const struct option_row record_options[] = {
    {.name = "--stream", .kind = OPTION_TEXTS, .offset = OPTION_FIELD(streams), .value = "STREAM",
     .help = "frames of this stream; may be given often"},
    {.name = "--events", .kind = OPTION_TEXTS, .offset = OPTION_FIELD(event_filters),
     .value = "FILTER", .help = "events of these topics, as for prong events; may be given often"},
    {.name = "--for", .kind = OPTION_DURATION, .offset = OPTION_FIELD(for_ms), .value = "TIME",
     .min = 1, .max = UNIT_DURATION_MS_MAX, .help = "end after this time"},
    {.name = "--count", .letter = 'n', .kind = OPTION_COUNT, .offset = OPTION_FIELD(count),
     .value = "N", .min = 1, .max = INT64_MAX,
     .help = "end after so many frames of all streams together, or events when there is no stream"},
    {.name = "--force", .kind = OPTION_FLAG, .offset = OPTION_FIELD(force),
     .help = "also when the file is there already: what it had is gone"},
    {.name = NULL},
};
static const struct option_row replay_options[] = {
    {.name = "--speed", .kind = OPTION_TEXT, .offset = OPTION_FIELD(speed), .value = "X",
     .help = "so many times as fast as it was; max: as fast as lossless readers take it; default: 1"},
    {.name = "--wait-readers", .kind = OPTION_COUNT, .offset = OPTION_FIELD(wait_readers),
     .value = "N", .min = 1, .max = 64,
     .help = "begin when each stream has so many readers, who then miss nothing"},
    {.name = "--stream", .kind = OPTION_TEXTS, .offset = OPTION_FIELD(streams), .value = "OLD=NEW",
     .help = "play a stream under another name, or leave it out (OLD=); may be given often"},
    {.name = "--events", .kind = OPTION_TEXTS, .offset = OPTION_FIELD(event_filters),
     .value = "FILTER", .help = "only events of these topics; may be given often"},
    {.name = "--now", .kind = OPTION_FLAG, .offset = OPTION_FIELD(now),
     .help = "frames get the times at which they are played, not those at which they were taken"},
    {.name = "--loop", .kind = OPTION_FLAG, .offset = OPTION_FIELD(loop),
     .help = "begin again at the end, until it is interrupted"},
    {.name = NULL},
};

static const struct verb verbs[] = {
    {.name = "up", .run = verb_up, .options = up_options, .timeout_ms = SECONDS(60),
     .arguments = "[--config FILE] [--name HUB] [--foreground]",
     .summary = "start a hub in the background and wait until its workers are ready",
     .help = "What prongd and the hub say goes to hub.log in the runtime folder. When a worker does "
     "not get ready its state, the reason and its last lines are told, and the hub stays up for the "
     "others. With a hub that runs already this waits for its workers in the same way, and leaves "
     "those alone that were stopped."},
    {.name = "down", .run = verb_down, .timeout_ms = SECONDS(30), .arguments = "",
     .summary = "end all workers in order, then the hub, and wait until it is gone",
     .help = "Without a hub this says so and is done. A hub that does not answer is asked by a "
     "signal."},
    {.name = "status", .aliases = "ps list ls", .run = verb_status, .argc_max = INT_MAX,
     .options = status_options, .timeout_ms = SECONDS(5), .no_hub = CLI_NOT_RUNNING,
     .arguments = "[WORKER[/N]...] [--check] | --clients",
     .summary = "what runs: workers, their replicas and how they are",
     .help = "Exit code 3 when no hub runs. In the table CPU is the share of one processor on the "
     "average since the process began, and REASON why the process before it ended, if that was a "
     "fault; JSON has all that the hub tells."},
    {.name = "start", .run = verb_start, .argc_min = 1, .argc_max = INT_MAX,
     .options = change_options, .timeout_ms = SECONDS(60), .arguments = "WORKER[/N]...",
     .summary = "start workers and wait until they are ready; one that runs is left alone"},
    {.name = "stop", .run = verb_stop, .argc_min = 1, .argc_max = INT_MAX,
     .options = change_options, .timeout_ms = SECONDS(60), .arguments = "WORKER[/N]...",
     .summary = "let workers finish their calls, end them and wait until they have ended"},
    {.name = "restart", .run = verb_restart, .argc_min = 1, .argc_max = INT_MAX,
     .options = change_options, .timeout_ms = SECONDS(60), .arguments = "WORKER[/N]...",
     .summary = "stop workers, start them again and wait until they are ready"},
    {.name = "scale", .run = verb_scale, .argc_min = 2, .argc_max = 2, .options = change_options,
     .timeout_ms = SECONDS(60), .arguments = "WORKER REPLICAS",
     .summary = "change how many replicas a worker has"},
    {.name = "reload", .run = verb_reload, .timeout_ms = SECONDS(600), .arguments = "",
     .summary = "read the configuration of the hub again and change only what differs",
     .help = "New workers start, those that are gone end, numbers change at once. A worker whose command, "
     "environment or the like differs gets new processes, one replica after the other, each started before "
     "the old one ends (update_order). If one does not get ready the worker goes back to what it was: exit "
     "code 1. A configuration that is wrong changes nothing: exit code 6. Options of the hub itself hold "
     "when it is started again, log_level at once. SIGHUP to prongd does the same."},
    {.name = "attach", .run = verb_attach, .argc_min = 2, .argc_max = INT_MAX,
     .timeout_ms = SECONDS(5), .stops_at_argument = true,
     .arguments = "WORKER[/N] COMMAND [ARGUMENT...]",
     .summary = "run a command in the place of a stopped replica, under a debugger for instance",
     .help = "prong stop detector/0, then prong attach detector/0 gdb --args ./detector: what attaches from "
     "there gets the calls of the replica, and neither max_busy, heartbeat nor start_timeout hold. When the "
     "command has ended the replica is stopped; prong start gives it back to the hub. Not across a restart "
     "of the broker."},
    {.name = "signal", .aliases = "kill", .run = verb_signal, .argc_min = 2, .argc_max = 2,
     .options = signal_options, .timeout_ms = SECONDS(5), .arguments = "WORKER[/N] SIGNAL [--group]",
     .summary = "send a signal to the processes of a worker",
     .help = "SIGNAL is a name with or without SIG, or a number: HUP, SIGHUP, 1. Prints who got it; "
     "exit code 3 when no process runs.\n"
     "This ends no worker as prong stop does: a process that ends by a signal has died, which counts "
     "as any other death, and is started again as its restart says. One that was stopped by STOP "
     "serves nobody until CONT, and still has calls."},
    {.name = "stack", .run = verb_stack, .argc_min = 1, .argc_max = INT_MAX,
     .timeout_ms = SECONDS(30), .arguments = "WORKER[/N]...",
     .summary = "where the processes of workers are: their threads and stacks",
     .help = "Has to run on the machine of the hub, as the user of the workers or as root. Each thread "
     "with its state and where it waits in the kernel; then the stack as the first of these tells it "
     "that is installed and works: py-spy (Python), eu-stack, gdb, else what the kernel shows. A tool "
     "that hangs is ended. The process stands still for as long as it is looked at. -o raw is the text "
     "of the tool alone. Exit code 3 when no process runs."},
    {.name = "logs", .aliases = "tail", .run = verb_logs, .argc_max = INT_MAX, .options = logs_options,
     .timeout_ms = SECONDS(5), .arguments = "[-f] [-n N] [--since TIME] [--level LEVEL] [WORKER[/N]...]",
     .summary = "the lines that workers wrote, and those that they write",
     .help = "Lines of all workers, or of those that are named, in the order in which they came. JSON "
     "is one object for each line: ts, level, worker, replica, pid, incarnation, call_id (method and "
     "number of the call that the replica served, where that was one), msg. With -o raw the lines "
     "alone.\n"
     "-f goes on over the end and start of workers and over the death of a broker. What comes faster "
     "than it is read here is lost, with a count on stderr and as \"lost\" in the next line of JSON. "
     "The hub has the last 1000 lines of each replica, of at most 128 KiB; older ones are in its log "
     "files.\n"
     "A line that begins with <3> is an error, as sd-daemon has it; see log_level in prong config "
     "manual. A level that was set holds until the hub, or its broker, starts anew."},
    {.name = "send", .run = verb_send, .argc_min = 1, .argc_max = 2, .options = send_options,
     .timeout_ms = SECONDS(5), .arguments = "WORKER[/N] [TEXT | -] [--end]",
     .summary = "write a line to the stdin of a worker that has stdin: pipe",
     .help = "A newline is put behind TEXT; with - it is what comes on stdin, as it is. A program that "
     "does not read has 64 KiB in its pipe and as much at the hub; then the exit code is 151, with - "
     "once it has not read for --timeout."},
    {.name = "env", .run = verb_env, .argc_min = 1, .argc_max = 1, .options = env_options,
     .timeout_ms = SECONDS(5), .arguments = "WORKER[/N] [--reveal]",
     .summary = "the environment that a process of a worker would get now",
     .help = "A list of name, value and from: hub (what the hub was started with), worker (of its "
     "configuration), env_file or prong. -o raw prints NAME=value. Only root and the user of the hub may "
     "ask. Values of an env_file, passwords in URLs and what is called PASSWORD, SECRET, TOKEN, KEY and "
     "the like are shown as ***. PRONG_TOKEN and PRONG_INCARNATION, which are new for each process, are "
     "left out."},
    {.name = "top", .run = verb_top, .options = top_options,
     .arguments = "[-d TIME] [--sort COLUMN] [--batch [-n N] | --once]",
     .summary = "what workers do now: a live view of the whole screen",
     .help = "Rates, shares of a processor and how long calls take are those between two looks at "
     "the hub, so the first picture that has them comes after the delay. The key h tells what keys "
     "do. When the hub goes away it is told and sought until it is back."},
    {.name = "metrics", .run = verb_metrics, .argc_max = 1, .timeout_ms = SECONDS(5),
     .arguments = "[WORKER]", .summary = "counters and gauges as Prometheus reads them",
     .help = "Of the hub and all workers, or of one worker. With -o json it is what the hub says "
     "(the method hub.metrics). A new broker counts from 0. To have them scraped, write them to a "
     "file of node_exporter's textfile collector from a timer, or serve them by any web server."},
    {.name = "call", .aliases = "req", .run = verb_call, .argc_min = 1, .argc_max = INT_MAX,
     .options = call_options_rows, .timeout_ms = SECONDS(30),
     .arguments = "WORKER[/N|/*].METHOD [KEY=TEXT | KEY:=JSON | KEY=@FILE | KEY:=@FILE]... | {...} | - | --map FILE",
     .summary = "call a method and print what it returns",
     .help = "The methods of the hub itself are those of the worker 'hub': prong call hub.status.\n"
     "KEY=TEXT is always a text: a number is n:=5, true is on:=true. KEY=@FILE is the text of a "
     "file, KEY=@@x the text @x. One argument {...} or [...] is all arguments as JSON, and - reads "
     "them from stdin. SIGINT cancels the call, a second one does not wait for that.\n"
     "The items of a method that yields are one list at the end in JSON, and a line each as they "
     "come on a terminal, with -o jsonl and with --each.\n"
     "WORKER/*.METHOD calls each replica: a line {\"replica\": ..., \"value\": ...} or {\"replica\": "
     "..., \"error\": {...}} for each, as they come. With --map it is {\"n\": ..., ...}, and n is the "
     "number of the argument set, from 0. Exit code 1 when one of them failed. --timeout is for all "
     "of them, and there is none with --map unless it is given. The map goes on until its file "
     "ends, also when some fail; it stops at a line that is no argument set. A hub that is full is "
     "asked again until it has room.\n"
     "A call in the background may take an hour unless --timeout is given, and its outcome is kept "
     "for ten minutes: prong wait --call HANDLE prints it, prong cancel HANDLE ends it.\n"
     "-o raw writes a text or bytes as they are."},
    {.name = "cancel", .run = verb_cancel, .argc_min = 1, .argc_max = 1, .timeout_ms = SECONDS(30),
     .arguments = "HANDLE", .summary = "end a call in the background",
     .help = "Exit code 0 when it has ended, 5 when the hub does not know it (any more)."},
    {.name = "emit", .aliases = "pub", .run = verb_emit, .argc_min = 1, .argc_max = INT_MAX,
     .options = emit_options, .timeout_ms = SECONDS(5),
     .arguments = "TOPIC [KEY=TEXT | KEY:=JSON | KEY=@FILE]... | {...} | - | --json JSON",
     .summary = "publish an event",
     .help = "The payload is written as the arguments of prong call; without any it is null. With -j "
     "the event's number is printed."},
    {.name = "events", .aliases = "sub listen", .run = verb_events, .argc_max = INT_MAX,
     .options = events_options, .arguments = "[FILTER...] [--from WHERE] [--count N] [--until FILTER|TIME]",
     .summary = "print events as they come",
     .help = "A filter is a topic in which a word may be * and the last one >, which stands for all "
     "that follows; default: everything. JSON has number, time, topic, source and payload, one line "
     "each. How many events the hub had no more room for is told on stderr and as \"lost\" in the "
     "next one that is printed. A connection that is lost is made again, and no event is missed or "
     "comes twice; after a start of another hub its events begin anew, which is told on stderr and "
     "as \"reset\"."},
    {.name = "describe", .aliases = "info introspect", .run = verb_describe, .argc_max = 1,
     .timeout_ms = SECONDS(5), .arguments = "[WORKER]",
     .summary = "the methods that can be called, of one worker or of all and the hub",
     .help = "A worker tells its methods when it attaches for the first time."},
    {.name = "wait", .run = verb_wait, .argc_max = INT_MAX, .options = wait_options,
     .timeout_ms = SECONDS(60),
     .arguments = "WORKER[/N]... [--for ready|exited|stopped|failed] [--any] | --for event TOPIC... "
     "[--count N] | --call HANDLE",
     .summary = "wait for workers to be ready or to end, for an event, or for a call",
     .help = "Exit code 3 at once when it will not come to that by itself: a worker that has failed "
     "does not get ready, one that is stopped does not fail. 7 when no hub runs.\n"
     "--for exited prints for each process that ended: replica, pid, reason, exit_code. It is done at "
     "once with one that does not run; what it died of last is told then.\n"
     "A TOPIC may have * for a word and > for all that follows, as for prong events.\n"
     "With --call the outcome is printed and the exit code is that of prong call; 5 when the hub "
     "does not know the call (any more). What a method yields is given once: who waits again gets "
     "the value alone. After a timeout or SIGINT the call goes on."},
    {.name = "stream ls", .run = verb_stream_ls, .timeout_ms = SECONDS(5), .arguments = "",
     .summary = "streams of frames, and who writes and reads them",
     .help = "SIZE is that of a slot, SKIPPED counts frames that were not written because readers held "
     "all slots, NEWEST is how long ago the newest frame was taken. JSON has the readers, too. The verbs "
     "of streams work on the machine of the hub."},
    {.name = "stream info", .run = verb_stream_info, .argc_min = 1, .argc_max = 1,
     .timeout_ms = SECONDS(5), .arguments = "STREAM",
     .summary = "one stream: its newest frame, and each reader with what it took and missed",
     .help = "HELD is how many frames a reader holds, and may hold. DELAY is how old the frame was that "
     "it took last, when it took it."},
    {.name = "stream hz", .run = verb_stream_hz, .argc_min = 1, .argc_max = 1,
     .options = watch_options, .arguments = "STREAM [-n N] [--window TIME]",
     .summary = "how many frames a second come, and how regularly",
     .help = "A line each second: the rate, and the shortest and longest time from one frame to the next "
     "with its standard deviation. Frames that were missed here count, each with its share of the time.\n"
     "A stream that is not there yet is waited for when --timeout is given, here and with the other "
     "verbs that read one."},
    {.name = "stream bw", .run = verb_stream_bw, .argc_min = 1, .argc_max = 1,
     .options = watch_options, .arguments = "STREAM [-n N] [--window TIME]",
     .summary = "how many bytes a second come"},
    {.name = "stream delay", .run = verb_stream_delay, .argc_min = 1, .argc_max = 1,
     .options = watch_options, .arguments = "STREAM [-n N] [--window TIME]",
     .summary = "how old frames are when they come: from the time they were taken to here"},
    {.name = "stream cat", .run = verb_stream_cat, .argc_min = 1, .argc_max = 1,
     .options = cat_options, .arguments = "STREAM [-n N] [--policy latest|lossless]",
     .summary = "write the bytes of frames to stdout, or with -o jsonl what is known of each",
     .help = "One frame after the other with nothing between, for instance into ffmpeg -f rawvideo. A "
     "terminal gets none. Exit code 1 when a lossless reader was too slow, and frames are missing."},
    {.name = "stream snap", .run = verb_stream_snap, .argc_min = 1, .argc_max = 1,
     .options = snap_options, .timeout_ms = SECONDS(5), .arguments = "STREAM [-o FILE]",
     .summary = "save the newest frame as a picture",
     .help = "Of frames of dtype |u1 and shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), and of dtype <u2 "
     "and shape (h, w) or (h, w, 1), of which the upper eight bits are shown: of 12 bits when the frame's "
     "format is Mono12, and so on, else of 16. With -j the file and what is known of the frame."},
    {.name = "stream record", .run = verb_stream_record, .argc_min = 1, .argc_max = 1,
     .options = record_options,
     .arguments = "FILE|FOLDER [--stream STREAM]... [--events FILTER]... [--for TIME | -n N]",
     .summary = "keep frames and events in a file, with their times",
     .help = "Without --stream and --events: all streams that there are, and all events but those of the "
     "hub. It reads lossless: the writers wait for the disk, as long as their patience says. Until "
     "--for, -n, SIGINT or SIGTERM, each of which is a good end; then the counts are printed. In a folder "
     "the file is called by the time.\n"
     "On a full disk the file ends with the last record that fits. Exit code 1 then, and when frames or "
     "events are missing. docs/recording.md has the format."},
    {.name = "stream replay", .run = verb_stream_replay, .argc_min = 1, .argc_max = 1,
     .options = replay_options,
     .arguments = "FILE [--speed X|max] [--wait-readers N] [--stream OLD=NEW]... [--events FILTER]...",
     .summary = "play a recording: its frames and events, as if the devices were there",
     .help = "Frames go into streams of the same names, whose writer it is meanwhile, and events are "
     "emitted with the same payloads, with the same time between them. Lossless readers get all frames: "
     "it waits for them, a minute at most.\n"
     "Frames have the times at which they were taken, as payloads of events have, so that a frame is "
     "found by the time of an event as it was then; see --now.\n"
     "A recording that was cut off is played as far as it goes. Exit code 1 when a part of it is "
     "damaged; the rest is played."},
    {.name = "doctor", .run = verb_doctor, .options = doctor_options,
     .arguments = "[-o FILE.tar.gz|FOLDER] [--check]",
     .summary = "check the hub and this machine, and write a bundle for a bug report",
     .help = "Prints PASS, WARN or FAIL for each check with what to do; exit code 1 when one is FAIL. "
     "JSON with -j.\n"
     "The bundle has versions, the configuration, status, events, logs, limits and processes of the "
     "hub. Passwords in URLs, and values whose names look like those of secrets, are masked; of "
     "environments there are names only. Look at it all the same before it leaves the house. What "
     "hangs is given up after some seconds, and checks.txt says which parts are not whole: it works "
     "with a hub that is down or stands still, too."},
    {.name = "dlq list", .run = verb_dlq_list, .timeout_ms = SECONDS(5), .arguments = "",
     .summary = "the dead letters: calls that are refused because two replicas died with them"},
    {.name = "dlq show", .run = verb_dlq_show, .argc_min = 1, .argc_max = 1,
     .timeout_ms = SECONDS(5), .arguments = "N", .summary = "one dead letter with its arguments"},
    {.name = "dlq retry", .run = verb_dlq_retry, .argc_min = 1, .argc_max = 1,
     .options = retry_options, .timeout_ms = SECONDS(30), .arguments = "N",
     .summary = "run the call of a dead letter again and print what it returns"},
    {.name = "dlq drop", .run = verb_dlq_drop, .argc_min = 1, .argc_max = INT_MAX,
     .timeout_ms = SECONDS(5), .arguments = "N...",
     .summary = "forget dead letters; equal calls may run again"},
    {.name = "run", .run = verb_run, .argc_min = 1, .argc_max = INT_MAX, .options = run_options,
     .timeout_ms = SECONDS(60), .stops_at_argument = true,
     .arguments = "[OPTION...] [--] COMMAND [ARGUMENT...]",
     .summary = "add a worker to the running hub and wait until it is ready",
     .help = "It runs in the current folder, and the program is found as the shell here would find "
     "it; the environment is the hub's. In arguments and values of --env, %i stands for the number "
     "of the replica and %% for a percent sign. A worker that does not get ready is taken out again."},
    {.name = "remove", .aliases = "rm", .run = verb_remove, .argc_min = 1, .argc_max = INT_MAX,
     .timeout_ms = SECONDS(5), .arguments = "WORKER...",
     .summary = "take stopped workers that were added by run out of the hub"},
    {.name = "config check", .run = verb_config_check, .argc_max = 1, .timeout_ms = SECONDS(5),
     .arguments = "[FILE]", .summary = "say what is wrong with a configuration",
     .help = "Exit code 0 or 6. Default: the file that prong up would take."},
    {.name = "config show", .run = verb_config_show, .argc_max = 1, .options = config_show_options,
     .timeout_ms = SECONDS(5), .arguments = "[FILE] [--worker WORKER]",
     .summary = "what a configuration comes to, with every default and all that it includes",
     .help = "YAML that reads back as the same configuration, or JSON with -o json. Values of an env_file, "
     "passwords in URLs and what is called PASSWORD, SECRET, TOKEN, KEY and the like are shown as ***."},
    {.name = "config init", .run = verb_config_init, .argc_max = 1, .options = config_init_options,
     .timeout_ms = SECONDS(5), .arguments = "[FILE] [--force]",
     .summary = "write a configuration with every option as a comment",
     .help = "Default: prong.yaml here; - is stdout. A file that is there already is left alone."},
    {.name = "config manual", .run = verb_config_manual, .options = config_manual_options,
     .timeout_ms = SECONDS(5), .arguments = "[--man]",
     .summary = "print the manual of the configuration, as Markdown or as a man page"},
    {.name = "config import", .run = verb_config_import, .argc_min = 1, .argc_max = 1,
     .options = config_import_options, .timeout_ms = SECONDS(5), .arguments = "FILE [--kind KIND]",
     .summary = "print the configuration that a file of supervisor, circus or foreman comes to",
     .help = "What could not be carried over is told on stderr, a line each: FILE:LINE: [SECTION] KEY: why; "
     "what to do instead. Relative paths go on from the folder of FILE, so the result belongs there. Exit "
     "code 6 when nothing comes of it."},
    {.name = "completion", .run = verb_completion, .argc_min = 1, .argc_max = 1,
     .timeout_ms = SECONDS(5), .arguments = "bash|zsh|fish",
     .summary = "print a script that completes command lines of prong in a shell",
     .help = "Names of workers and methods come from the hub. It is installed with prong; else: "
     "source <(prong completion bash), prong completion fish | source."},
    {.name = "complete", .run = verb_complete, .argc_max = INT_MAX, .timeout_ms = SECONDS(5),
     .stops_at_argument = true, .arguments = "[--] WORD...",
     .summary = "print what the last word may become, for the scripts of prong completion",
     .help = "The words of a command line without prong, the last one being written. A line for each "
     "candidate, with a tab and what it is."},
    {.name = "version", .run = verb_version, .arguments = "", .summary = "print the version"},
    {.name = "help", .run = verb_help, .argc_max = 2, .options = help_options,
     .arguments = "[VERB] [--man]",
     .summary = "tell more of a verb"},
};
/* clang-format on */

const struct verb *
verb_table(size_t *count)
{
    *count = sizeof verbs / sizeof verbs[0];
    return verbs;
}
