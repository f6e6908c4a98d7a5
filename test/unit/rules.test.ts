/** The rules of docs/protocol.md and the titles of the tests are held to each other. Other areas' ids are their tests' own. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RULES } from '../../src/rest/docs/rules.ts';

const WIRE = /\[((?:AD|AT|DC|FL|PJ|PR|PU|AU|BL|CH|CN|PS|KY|AI|HT|SD|LC|PV|RN|SB|TM|WS)-\d+)\]/g;

const titled = new Set(
  readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(test|contract)\.ts$/.test(file))
    .flatMap((file) => [...readFileSync(join('test', file), 'utf8').matchAll(WIRE)])
    .map((match) => match[1] ?? ''),
);
const ruled = new Set(RULES.flatMap(({ rules }) => Object.keys(rules)));

test('every id in a title is a rule', () => {
  expect([...titled].filter((id) => !ruled.has(id)).sort()).toEqual([]);
});

test('every rule has a test with its title', () => {
  expect([...ruled].filter((id) => !titled.has(id)).sort()).toEqual([]);
});
