/** The text of `.env.example`: every variable with what it means and what it is without being set. */
import { VARIABLES, type Group, type Variable } from './variables.ts';

const WIDTH = 100;

export function envExample(): string {
  const groups = new Map<Group, [string, Variable][]>();
  for (const entry of Object.entries(VARIABLES)) {
    const { group } = entry[1];
    groups.set(group, [...(groups.get(group) ?? []), entry]);
  }
  const parts = [...groups].map(([group, entries]) => [`# ── ${group} ──`, ...entries.map(paragraph)].join('\n\n'));
  return `${[HEAD, ...parts].join('\n\n')}\n`;
}

const HEAD = comment(
  'Every variable that Atelier reads. All of them are optional off production. What stands behind the = is what holds when the variable is not set; a variable set to nothing counts as not set.',
);

const paragraph = ([name, { doc, fallback }]: [string, Variable]): string => `${comment(doc)}\n# ${name}=${fallback}`;

function comment(text: string): string {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}
