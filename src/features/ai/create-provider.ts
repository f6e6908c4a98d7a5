/** Chooses the provider from the configuration's values. */
import type { Log } from '../../observability/log.ts';
import { createAnthropicProvider } from './anthropic-provider.ts';
import { createDemoProvider } from './demo-provider.ts';
import type { AiProvider } from './provider.ts';

export interface ProviderSettings {
  /** `auto`: Anthropic when there is a key, else the demo. */
  aiProvider: 'auto' | 'anthropic' | 'demo';
  anthropicApiKey?: string | undefined;
  anthropicBaseUrl?: string | undefined;
  /** The model to ask; without one, the provider's own choice. */
  aiModel?: string | undefined;
  /** Between two pieces of the demo's answers, in milliseconds. */
  demoDelayMs?: number | undefined;
}

/** Throws a plain Error when the chosen provider lacks its key: the server should not start then. */
export function createProvider(settings: ProviderSettings, log: Log): AiProvider {
  const { aiProvider, anthropicApiKey, anthropicBaseUrl, aiModel, demoDelayMs } = settings;
  if (aiProvider === 'demo' || (aiProvider === 'auto' && !anthropicApiKey)) {
    return createDemoProvider(demoDelayMs === undefined ? {} : { delayMs: demoDelayMs });
  }
  if (!anthropicApiKey) throw new Error('AI_PROVIDER is anthropic, but ANTHROPIC_API_KEY is not set');
  return createAnthropicProvider({ apiKey: anthropicApiKey, baseUrl: anthropicBaseUrl, model: aiModel, log });
}
