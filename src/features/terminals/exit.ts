import { constants } from 'node:os';
import type { Exit } from '../../sandbox/agent-protocol/index.ts';

const NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** How a shell ended, as it is told: by its code, or by a signal's name. */
export const endOf = ({ code, signal }: Exit): { code: number | null; signal: string | null } =>
  signal === 0 ? { code, signal: null } : { code: null, signal: NAMES.get(signal) ?? `SIG${signal}` };
