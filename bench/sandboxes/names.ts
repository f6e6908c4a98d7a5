import { verdict } from '../documents/verdict.ts';

export const NAMES = { host: 'node-pty on the host', exec: '`docker exec -it` by node-pty', atelier: 'Atelier' };

/** Nothing but being ahead of `docker exec -it` is asked for. */
export function besideExec(what: string, own: number, other: number, better: 'more' | 'less'): string {
  const isMet = better === 'more' ? own > other : own < other;
  return `- ${what}: ${own.toFixed(2)} (docker exec ${other.toFixed(2)}; target: ahead of it): ${verdict(isMet)}`;
}
