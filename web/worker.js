/* The SharedWorker that holds this browser's one connection. Tabs come with client.js. */

import { Sharing } from "./sharing.js";

const sharing = new Sharing();

globalThis.onconnect = ({ ports: [port] }) => sharing.open(port);
