/** Phone numbers as people write them, into E.164. */
import { Fault } from '../../protocol/index.ts';

export interface ParsedPhone {
  /** As +14155550100. */
  e164: string;
  /** ISO 3166, two letters; undefined for numbers of no country. */
  country: string | undefined;
  /** Country code and three digits, as +1415: what ranges of numbers are counted by. */
  prefix: string;
}

/** Rejects with `invalid`. The metadata (of mobile numbers; others get no messages) is loaded with the first number. */
export async function parsePhone(text: string): Promise<ParsedPhone> {
  const { parsePhoneNumberFromString } = await import('libphonenumber-js/mobile');
  const parsed = parsePhoneNumberFromString(text, { extract: false });
  if (!parsed?.isValid()) {
    const message = 'must be a mobile number in international form, as +14155550100';
    throw new Fault('invalid', 'The phone number is not valid', { detail: [{ path: 'phoneNumber', message }] });
  }
  return {
    e164: parsed.number,
    country: parsed.country,
    prefix: `+${parsed.countryCallingCode}${parsed.nationalNumber.slice(0, 3)}`,
  };
}
