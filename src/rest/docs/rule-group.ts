/** What groups of rules are made of. */
export interface RuleGroup {
  title: string;
  rules: Record<string, string>;
}

export const seconds = (ms: number): string => `${ms / 1_000} s`;
export const minutes = (ms: number): string => `${ms / 60_000} min`;
export const kib = (bytes: number): string => `${bytes / 1_024} KiB`;
export const mib = (bytes: number): string => `${bytes / 1_048_576} MiB`;
export const hours = (ms: number): string => `${ms / 3_600_000} h`;
