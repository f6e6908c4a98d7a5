/** How a snippet or a file of each language is run. */
import type { Language } from './contract.ts';

const LANGUAGES: Readonly<Record<Language, { command: readonly string[]; extension: string }>> = {
  javascript: { command: ['node'], extension: 'js' },
  typescript: { command: ['tsx'], extension: 'ts' },
  // Its output comes as it is written, not when it ends.
  python: { command: ['python3', '-u'], extension: 'py' },
  bash: { command: ['bash'], extension: 'sh' },
};

/** The name that a snippet has in its working directory. */
export const snippetName = (language: Language): string => `snippet.${LANGUAGES[language].extension}`;

/** A path that begins with a dash is no option. */
export const commandFor = (language: Language, path: string): string[] => [...LANGUAGES[language].command, `./${path}`];
