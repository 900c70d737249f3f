// The peer: the live key-value service that one builds on Node.js today. Express answers, Sequelize writes to PostgreSQL,
// ioredis caches and carries changes, Socket.IO pushes them. Reads are cache-aside; a write is an upsert, then a publish.
// It is spared what kvcast does besides: no rate limiter, no tokens, no history, no guard against an older value.
import cluster from "node:cluster";
import { createServer } from "node:http";
import express from "express";
import { Redis } from "ioredis";
import { DataTypes, Sequelize } from "sequelize";
import { Server } from "socket.io";

const CACHE_SECONDS = 3600;
const CHANNEL = "peer:changes";
const { DATABASE_SOCKETS, DATABASE_NAME, DATABASE_USER, REDIS_SOCKET, PORT, WORKERS = "1" } = process.env;

function connectDatabase() {
  const sequelize = new Sequelize({
    dialect: "postgres",
    host: DATABASE_SOCKETS,
    database: DATABASE_NAME,
    username: DATABASE_USER,
    logging: false,
    pool: { max: 10, min: 2 },
  });
  const Pair = sequelize.define("Pair", {
    key: { type: DataTypes.STRING(128), primaryKey: true },
    value: { type: DataTypes.JSONB, allowNull: false },
    category: { type: DataTypes.STRING(128), allowNull: false, defaultValue: "default" },
  });
  return { sequelize, Pair };
}

async function serve() {
  const { Pair } = connectDatabase();
  const redis = new Redis({ path: REDIS_SOCKET });
  const subscriber = new Redis({ path: REDIS_SOCKET });

  const app = express();
  app.disable("x-powered-by");
  app.use(express.json({ limit: "128kb" }));

  app.get("/get/:key", async (request, response) => {
    const { key } = request.params;
    const cached = await redis.get(`peer:${key}`);
    if (cached !== null) {
      response.json({ ...JSON.parse(cached), source: "cache" });
      return;
    }
    const pair = await Pair.findByPk(key, { raw: true });
    if (pair === null) {
      response.status(404).json({ success: false, error: "key not found" });
      return;
    }
    await redis.set(`peer:${key}`, JSON.stringify(pair), "EX", CACHE_SECONDS);
    response.json({ ...pair, source: "database" });
  });

  app.post("/add", async (request, response) => {
    const { key, value, category } = request.body;
    if (typeof key !== "string" || value === undefined) {
      response.status(400).json({ success: false, error: "send key and value" });
      return;
    }
    const [pair] = await Pair.upsert({ key, value, category });
    const text = JSON.stringify(pair);
    await redis.set(`peer:${key}`, text, "EX", CACHE_SECONDS);
    await redis.publish(CHANNEL, text);
    response.json({ success: true, key, updatedAt: pair.updatedAt });
  });

  const server = createServer(app);
  const io = new Server(server, { transports: ["websocket"] });
  io.on("connection", (socket) => {
    socket.on("subscribe", (key, joined) => {
      socket.join(key);
      joined();
    });
  });
  await subscriber.subscribe(CHANNEL);
  subscriber.on("message", (_channel, text) => {
    const pair = JSON.parse(text);
    io.to(pair.key).emit("update", pair);
  });
  server.listen(Number(PORT), "127.0.0.1");
}

if (cluster.isPrimary) {
  const { sequelize } = connectDatabase();
  await sequelize.sync();
  await sequelize.close();
}
if (cluster.isPrimary && Number(WORKERS) > 1) {
  for (let worker = 0; worker < Number(WORKERS); worker += 1) cluster.fork();
} else {
  await serve();
}
