/** @type {import('next').NextConfig} */
export default {
  // In development, reachable under whatever name a preview gives it.
  allowedDevOrigins: ['**.*'],
};
