// Asks assertiond for OAuth 2.0 client assertions that an HSM signs. See README.md.
export { Client } from './client.js';
export { AssertiondError } from './errors.js';
