/** Codes for phones: who gets one, and whether one is right. What a phone does is counted in the database. */
import { randomInt } from 'node:crypto';
import { Types } from 'mongoose';
import type { Limits } from '../../cluster/limits.ts';
import { Fault } from '../../protocol/index.ts';
import type { AuthModels } from './model.ts';
import { CODE_LIFE_MS, RESEND_AFTER_MS, withSend, withTry, type Challenge } from './otp-ledger.ts';
import { createPhones } from './otp-phones.ts';
import type { OtpChannel, OtpProvider } from './otp-provider.ts';
import { createTallies } from './otp-tallies.ts';
import { parsePhone } from './phone-number.ts';
import { deriveKey, keyedHash } from './secrets.ts';

const SENDS_PER_ADDRESS = { points: 10, windowSeconds: 3_600 };

export interface OtpOptions {
  /** ISO 3166 codes of the countries served; empty or undefined for all. */
  countries: readonly string[] | undefined;
  /** Sends in one hour to all phones; undefined for no cap. */
  hourlyCap: number | undefined;
}

export interface OtpDeps extends OtpOptions {
  models: Pick<AuthModels, 'phones' | 'tallies'>;
  /** Without one nothing is sent. */
  provider: OtpProvider | undefined;
  limits: Limits;
  pepper: string;
  now: () => number;
}

export interface Sent {
  challengeId: string;
  expiresInSeconds: number;
  resendAfterSeconds: number;
}

export interface Otp {
  /** Sends a new code, which replaces the one before. Whatever it rejects with, a code that arrives is valid. */
  send(phoneNumber: string, channel: OtpChannel, ip: string): Promise<Sent>;
  /** The phone in E.164 if the code is right, which uses it up; undefined if it is wrong or has ended. */
  verify(phoneNumber: string, code: string, challengeId: string | undefined): Promise<string | undefined>;
}

export function createOtp({ models, provider, limits, pepper, countries, hourlyCap, now }: OtpDeps): Otp {
  const phones = createPhones(models, now);
  const tallies = createTallies(models, hourlyCap, now);
  const allowed = new Set(countries?.map((country) => country.toUpperCase()));
  const codeKey = deriveKey(pepper, 'otp');
  const codeHash = (challengeId: string, phone: string, code: string): string =>
    keyedHash(codeKey, challengeId, phone, code);

  return {
    async send(phoneNumber, channel, ip) {
      if (!provider) throw new Fault('unavailable', 'Signing in by phone is not set up on this server');
      const { e164, country, prefix } = await parsePhone(phoneNumber);
      if (allowed.size > 0 && (country === undefined || !allowed.has(country))) {
        throw new Fault('unsupported', 'This country is not served');
      }
      if (!provider.serves(channel)) throw new Fault('unsupported', 'This channel is not served');
      // What one address can do comes first: what it is refused costs nobody else anything.
      await limits.consume('otp-send', ip, SENDS_PER_ADDRESS);
      await tallies.requireHonest(prefix);

      const code = String(randomInt(1_000_000)).padStart(6, '0');
      const id = new Types.ObjectId().toHexString();
      const challenge: Challenge = {
        id,
        codeHash: codeHash(id, e164, code),
        wrongTries: 0,
        expiresAtMs: now() + CODE_LIFE_MS,
        tallyId: tallies.idOf(prefix),
      };
      await phones.change(e164, (state) => ({ state: withSend(state, challenge, now()) }));
      await tallies.takeFromCap();
      await tallies.countSent(challenge.tallyId);
      const minutes = CODE_LIFE_MS / 60_000;
      await provider.send({
        to: e164,
        channel,
        code,
        text: `${code} is your Atelier code. It is valid for ${minutes} minutes. Do not give it to anyone.`,
      });
      return {
        challengeId: id,
        expiresInSeconds: CODE_LIFE_MS / 1000,
        resendAfterSeconds: RESEND_AFTER_MS / 1000,
      };
    },

    async verify(phoneNumber, code, challengeId) {
      const { e164 } = await parsePhone(phoneNumber);
      const codeHashOf = (id: string): string => codeHash(id, e164, code);
      const { verified } = await phones.change(e164, (state) => withTry(state, { challengeId, codeHashOf }, now()));
      if (!verified) return undefined;
      await tallies.countVerified(verified.tallyId);
      return e164;
    },
  };
}
