/** The picture of somebody who has uploaded none: initials on a colour, the same for the same person for ever. */
import { createHash } from 'node:crypto';

/** An SVG of 128 × 128. Nothing of the name gets into it but one or two letters or digits. */
export function drawAvatar(userId: string, name: string): string {
  const hue = createHash('sha256').update(userId).digest().readUInt16BE(0) % 360;
  const text = escapeXml(initialsOf(name));
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128" viewBox="0 0 128 128" role="img">',
    `<rect width="128" height="128" fill="hsl(${hue},55%,42%)"/>`,
    '<text x="64" y="66" fill="#fff" font-family="system-ui,sans-serif" font-size="52" font-weight="600"',
    ` text-anchor="middle" dominant-baseline="central">${text}</text>`,
    '</svg>',
  ].join('');
}

/** The first letter or digit of the first and the last word that have one. */
export function initialsOf(name: string): string {
  const letters = name
    .normalize('NFC')
    .split(/\s+/u)
    .map((word) => /[\p{L}\p{N}]/u.exec(word)?.[0])
    .filter((letter) => letter !== undefined);
  const first = letters[0] ?? '?';
  const last = letters.length > 1 ? (letters.at(-1) ?? '') : '';
  return (first + last).toUpperCase();
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };
const escapeXml = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
