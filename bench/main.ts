/** Prints figures as Markdown. Usage: npm run bench [-- name [rounds]], or only the rounds. */
import { cpus } from 'node:os';
import { durable } from './durable.ts';
import { idle } from './idle.ts';
import { room, rooms } from './rooms.ts';
import { smallRooms } from './small-rooms.ts';
import { slowReader } from './slow-reader.ts';
import { storm } from './storm.ts';

const BENCHES: Record<string, (rounds: number) => Promise<string>> = {
  rooms,
  'small-rooms': (rounds) => smallRooms(rounds),
  storm,
  idle,
  durable,
  'slow-reader': slowReader,
  'two-nodes': (rounds) => room(rounds, { rooms: 1, size: 100, nodes: 2 }),
  'two-nodes-large': (rounds) => room(rounds, { rooms: 1, size: 1_000, nodes: 2 }),
  'two-nodes-small': (rounds) => smallRooms(rounds, 2),
};

const [first = '', second] = process.argv.slice(2);
const one = Object.hasOwn(BENCHES, first) ? first : undefined;
const rounds = Number((one === undefined ? first : second) || 3);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`Benches are: ${Object.keys(BENCHES).join(', ')}`);

console.log(`${cpus().length} cores, Node ${process.versions.node}; medians of ${rounds} rounds`);
for (const [name, bench] of Object.entries(BENCHES)) {
  if (one === undefined || one === name) console.log(`\n${await bench(rounds)}`);
}
