/** What was asked of Atelier beside the two others, and what came out. */

export const HOCUSPOCUS = 'hocuspocus';
export const Y_WEBSOCKET = 'y-websocket-server';
/** Over Socket.IO, with one update under way at a time, as its own provider sends them. */
export const ATELIER = 'Atelier';
/** Over Socket.IO, every keystroke a message of its own. */
export const ATELIER_EACH = 'Atelier, each keystroke';
/** Over `/yjs`, as stock y-websocket providers connect. */
export const ATELIER_YJS = 'Atelier /yjs';

const OURS = [ATELIER, ATELIER_YJS];
const OTHERS = [HOCUSPOCUS, Y_WEBSOCKET];

/** A figure by server. */
export type Figure = (name: string) => number;

/** A ratio to hocuspocus that is asked for, both ways of connecting. */
export function besideHocuspocus(what: string, figure: Figure, is: '≥' | '≤', target: number): string[] {
  return OURS.map((name) => {
    const ratio = figure(name) / figure(HOCUSPOCUS);
    const met = is === '≥' ? ratio >= target : ratio <= target;
    return `- ${name}, ${what}: ${ratio.toFixed(2)}× hocuspocus (target ${is} ${target}×): ${verdict(met)}`;
  });
}

/** Where nothing but being ahead of both is asked for. */
export function aheadOfBoth(
  what: string,
  figure: Figure,
  better: 'more' | 'less',
  show = (value: number): string => value.toFixed(2),
): string[] {
  return OURS.map((name) => {
    const own = figure(name);
    const met = OTHERS.every((other) => (better === 'more' ? own > figure(other) : own < figure(other)));
    const others = OTHERS.map((other) => `${other} ${show(figure(other))}`).join(', ');
    return `- ${name}, ${what}: ${show(own)} (${others}; target: ahead of both): ${verdict(met)}`;
  });
}

export const verdict = (met: boolean): string => (met ? 'met' : '**missed**');
