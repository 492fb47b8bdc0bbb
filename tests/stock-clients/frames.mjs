// Reads the messages of one direction of a WebSocket from its bytes, as they pass by.

import assert from "node:assert/strict";

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
/** More than any message that either side may send (RFC 6455 allows more, the protocol does not). */
const MAX_BYTES = 64 * 1024 * 1024;

/** The HTTP message that opens the connection, then WebSocket messages (RFC 6455, section 5). */
export class Messages {
  #bytes = Buffer.alloc(0);
  #parts = [];
  #opcode = 0;
  #opened = false;

  /** Whether WebSocket messages follow; other HTTP is none of this recorder's business. */
  upgraded = false;

  /** Takes bytes; returns the messages that they complete: `{text}` or `{close, reason}`. */
  push(chunk) {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (!this.#opened && !this.#open()) return [];
    if (!this.upgraded) return [];
    const messages = [];
    for (let frame = this.#frame(); frame; frame = this.#frame()) {
      const message = this.#message(frame);
      if (message) messages.push(message);
    }
    return messages;
  }

  #open() {
    const end = this.#bytes.indexOf("\r\n\r\n");
    if (end < 0) return false;
    this.upgraded = /^upgrade: *websocket\r$/im.test(this.#bytes.toString("latin1", 0, end + 2));
    this.#bytes = this.#bytes.subarray(end + 4);
    this.#opened = true;
    return true;
  }

  #frame() {
    const bytes = this.#bytes;
    if (bytes.length < 2) return null;
    const masked = bytes[1] >= 0x80;
    let length = bytes[1] & 0x7f;
    let at = 2;
    if (length === 126) {
      if (bytes.length < 4) return null;
      length = bytes.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (bytes.length < 10) return null;
      length = Number(bytes.readBigUInt64BE(2));
      at = 10;
    }
    assert.ok(length <= MAX_BYTES, `a frame of ${length} bytes`);
    const mask = masked ? bytes.subarray(at, at + 4) : null;
    if (masked) at += 4;
    if (bytes.length < at + length) return null;
    const payload = Buffer.from(bytes.subarray(at, at + length));
    if (mask) for (let index = 0; index < length; index += 1) payload[index] ^= mask[index & 3];
    this.#bytes = bytes.subarray(at + length);
    assert.equal(bytes[0] & 0x70, 0, "no extension is negotiated, so no reserved bit may be set");
    return { last: bytes[0] >= 0x80, opcode: bytes[0] & 0x0f, payload };
  }

  #message({ last, opcode, payload }) {
    if (opcode === CLOSE) {
      const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
      return { close: code, reason: payload.toString("utf8", 2) };
    }
    if (opcode > CLOSE) return null;
    if (opcode !== 0) this.#opcode = opcode;
    this.#parts.push(payload);
    if (!last) return null;
    const whole = Buffer.concat(this.#parts.splice(0));
    assert.ok([TEXT, BINARY].includes(this.#opcode), `a message of kind ${this.#opcode}`);
    return { text: whole.toString("utf8") };
  }
}
