import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

// Reachable from outside, under whatever name a preview gives it.
const open = { host: true, allowedHosts: true, port: Number(process.env.PORT ?? 5173) };

export default defineConfig({
  plugins: [vue()],
  server: open,
  preview: open,
});
