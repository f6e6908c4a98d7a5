import { createHmac } from 'node:crypto';
import { compareSync, hashSync } from 'bcryptjs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isCommonPassword } from '../../../src/features/auth/common-passwords.ts';
import { createPasswords, type Passwords } from '../../../src/features/auth/passwords.ts';
import { faultOf, PEPPER } from './harness.ts';

function open(cost?: number): Passwords {
  const passwords = createPasswords(PEPPER, cost);
  onTestFinished(() => passwords.close());
  return passwords;
}

describe('a stored password', () => {
  test('is bcrypt of cost 12 over the base64 of its HMAC-SHA-384 with the pepper', async () => {
    const passwords = open();
    const stored = await passwords.hash('correct horse');
    const [, bcrypt = ''] = stored.split('hmac-sha384:');
    expect(bcrypt).toMatch(/^\$2b\$12\$/);
    const input = createHmac('sha384', PEPPER).update('correct horse').digest('base64');
    expect(input).toHaveLength(64);
    expect(compareSync(input, bcrypt)).toBe(true);
    expect(await passwords.verify('correct horse', stored)).toEqual({ fits: true });
    expect(await passwords.verify('correct horsf', stored)).toEqual({ fits: false });
  });

  test('fits however its accents are composed', async () => {
    const passwords = open(4);
    const stored = await passwords.hash('cafe\u0301 au lait');
    expect(await passwords.verify('caf\u00e9 au lait', stored)).toEqual({ fits: true });
  });

  test('counts to its last character, beyond the 72 bytes that bcrypt reads', async () => {
    const passwords = open(4);
    const long = 'x'.repeat(127);
    const stored = await passwords.hash(`${long}a`);
    expect((await passwords.verify(`${long}a`, stored)).fits).toBe(true);
    expect((await passwords.verify(`${long}b`, stored)).fits).toBe(false);
  });

  test('is made anew when the cost has changed', async () => {
    const stored = await open(4).hash('correct horse');
    const { fits, renewed = '' } = await open(5).verify('correct horse', stored);
    expect(fits).toBe(true);
    expect(renewed).toMatch(/^hmac-sha384:\$2b\$05\$/);
    expect(await open(5).verify('correct horse', renewed)).toEqual({ fits: true });
    expect(await open(5).verify('wrong horse', stored)).toEqual({ fits: false });
  });

  test('that was imported without the pepper verifies once and gets it', async () => {
    const passwords = open(4);
    for (const imported of [hashSync('correct horse', 4), hashSync('correct horse', 4).replace('$2b$', '$2y$')]) {
      const { fits, renewed = '' } = await passwords.verify('correct horse', imported);
      expect(fits).toBe(true);
      expect(renewed).toMatch(/^hmac-sha384:\$2b\$04\$/);
      expect(await passwords.verify('correct horse', renewed)).toEqual({ fits: true });
    }
  });

  test('[AU-1] that is missing or unreadable never fits', async () => {
    const passwords = open(4);
    for (const stored of [undefined, '', 'hmac-sha384:', 'plain text', '$2b$04$short']) {
      expect(await passwords.verify('correct horse', stored)).toEqual({ fits: false });
    }
  });
});

describe('the password threads', () => {
  test('refuse more than can be answered in time, and answer the rest', async () => {
    const passwords = open(6);
    const outcomes = await Promise.all(Array.from({ length: 60 }, () => faultOf(passwords.hash('correct horse'))));
    expect(outcomes.filter((outcome) => outcome === 'ok').length).toBeGreaterThanOrEqual(20);
    expect(outcomes.filter((outcome) => outcome === 'unavailable').length).toBeGreaterThanOrEqual(15);
    expect(await faultOf(passwords.hash('correct horse'))).toBe('ok');
  });

  test('leave nobody waiting when they are closed', async () => {
    const passwords = createPasswords(PEPPER, 10);
    const outcomes = Promise.all(Array.from({ length: 5 }, () => faultOf(passwords.hash('correct horse'))));
    await passwords.close();
    expect(new Set(await outcomes)).toEqual(new Set(['unavailable']));
    expect(await faultOf(passwords.hash('correct horse'))).toBe('unavailable');
  });
});

describe('[AU-7] a password', () => {
  const common = [
    'password',
    'Password1',
    'iloveyou',
    'sunshine',
    '12345678',
    '1234567890123',
    '87654321',
    'qwertyuiop',
    'poiuytrewq',
    'asdfghjkl',
    'aaaaaaaa',
    'abcabcabc',
    'abcdefghij',
    'welcome2024',
    'liverpool2019',
    'Summer2025',
    'p@ssw0rd1',
    '１２３４５６７８',
  ];
  test.each(common)('%s is too common', (password) => {
    expect(isCommonPassword(password)).toBe(true);
  });

  const fine = [
    'correct horse battery',
    'xk7#Lq2v',
    'zwölf Boxkämpfer',
    '84729105',
    'пароль от сарая',
    'tantalus',
    'qpwoeirutyx',
  ];
  test.each(fine)('%s is not', (password) => {
    expect(isCommonPassword(password)).toBe(false);
  });
});
