/** Processes as /proc has them: whom a signal is for, and everything that terminals have left behind. */
import { readdirSync, readFileSync } from 'node:fs';

interface Process {
  pid: number;
  session: number;
  uid: number;
}

/** Rounds of stopping after which a bomb that still forks is killed as it is; each stops all that the one before missed. */
const STOP_ROUNDS = 50;
/** Rounds of killing what is left, should something have escaped. */
const KILL_ROUNDS = 5;

export interface Targets {
  /** Sessions, by the pid that leads them. */
  sessions: ReadonlySet<number>;
  /** Users all of whose processes are meant. */
  uids: ReadonlySet<number>;
}

/** The group in the foreground of the terminal whose session this process leads. Undefined when there is none. */
export function foregroundGroup(pid: number): number | undefined {
  const group = Number(statOf(pid)?.[5]);
  return group > 0 ? group : undefined;
}

/** Sends the signal to all of them. */
export function signalAll(targets: Targets, signal: NodeJS.Signals): void {
  for (const { pid } of find(targets)) send(pid, signal);
}

export const isAlive = (pid: number): boolean => statOf(pid) !== undefined;

/** Sends a signal; one that is gone does not hear it. A negative number is a group's. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone, or not ours to signal.
  }
}

/** Kills all of them, forking or not: they are stopped until none is new, then killed. Returns how many there were. */
export function killAll(targets: Targets): number {
  const killed = new Set<number>();
  for (let killing = 0; killing < KILL_ROUNDS; killing++) {
    const stopped = new Set<number>();
    for (let round = 0; round < STOP_ROUNDS; round++) {
      const fresh = find(targets).filter(({ pid }) => !stopped.has(pid));
      if (fresh.length === 0) break;
      for (const { pid } of fresh) {
        send(pid, 'SIGSTOP');
        stopped.add(pid);
      }
    }
    if (stopped.size === 0) break;
    for (const pid of stopped) {
      send(pid, 'SIGKILL');
      killed.add(pid);
    }
  }
  return killed.size;
}

/** Those that live. Never this process, whose user and session are not to be named. */
function find({ sessions, uids }: Targets): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processOf(Number(name)))
    .filter((found) => found !== undefined)
    .filter(({ pid, session, uid }) => pid !== process.pid && (sessions.has(session) || uids.has(uid)));
}

function processOf(pid: number): Process | undefined {
  const stat = statOf(pid);
  // A zombie has only to be waited for.
  if (!stat || stat[0] === 'Z' || stat[0] === 'X') return undefined;
  const uid = /^Uid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return uid === undefined ? undefined : { pid, session: Number(stat[3]), uid: Number(uid) };
}

/** State, parent, group, session, terminal, group in its foreground. The name before them may hold anything. */
function statOf(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}
