// Why a session failed: OpenSSL's reason mapped to the small set that metrics and logs know, and the text of a refusal
// for the control plane (contexts, identities).
#include "tls.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <stdio.h>
#include <string.h>

static char reason_text[256];

static uint8_t cause_of_reason(int reason) {
  if (reason > SSL_AD_REASON_OFFSET) return TLS_CAUSE_ALERT_RECEIVED;
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_MISSING_SUPPORTED_GROUPS_EXTENSION:
    case SSL_R_MISSING_SIGALGS_EXTENSION:
    case SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED:
    case SSL_R_LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED:
    case SSL_R_UNSUPPORTED_ELLIPTIC_CURVE:
    case SSL_R_INSUFFICIENT_SECURITY:
    case SSL_R_DH_KEY_TOO_SMALL:
      return TLS_CAUSE_PEER_INCOMPATIBLE;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TLS_CAUSE_NO_ALPN;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_NO_CERTIFICATES_RETURNED:
    case SSL_R_BAD_CERTIFICATE:
    case SSL_R_WRONG_CERTIFICATE_TYPE:
    case SSL_R_UNKNOWN_CERTIFICATE_TYPE:
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK:
    case SSL_R_CERT_LENGTH_MISMATCH:
    case SSL_R_INVALID_CERTIFICATE_OR_ALG:
      return TLS_CAUSE_INVALID_CERTIFICATE;
    case SSL_R_DECRYPTION_FAILED:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_BAD_SIGNATURE:
    case SSL_R_DIGEST_CHECK_FAILED:
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_BLOCK_CIPHER_PAD_IS_WRONG:
    case SSL_R_WRONG_SIGNATURE_SIZE:
    case SSL_R_WRONG_SIGNATURE_LENGTH:
      return TLS_CAUSE_DECRYPT_ERROR;
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return TLS_CAUSE_OVERSIZED_RECORD;
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_CCS_RECEIVED_EARLY:
    case SSL_R_GOT_A_FIN_BEFORE_A_CCS:
    case SSL_R_DATA_BETWEEN_CCS_AND_FINISHED:
    case SSL_R_NO_RENEGOTIATION:
    case SSL_R_BAD_HELLO_REQUEST:
      return TLS_CAUSE_INAPPROPRIATE_HANDSHAKE_MESSAGE;
    case SSL_R_UNEXPECTED_RECORD:
    case SSL_R_UNEXPECTED_CCS_MESSAGE:
    case SSL_R_INVALID_CCS_MESSAGE:
    case SSL_R_APP_DATA_IN_HANDSHAKE:
    case SSL_R_APPLICATION_DATA_AFTER_CLOSE_NOTIFY:
    case SSL_R_MIXED_HANDSHAKE_AND_NON_HANDSHAKE_DATA:
    case SSL_R_NOT_ON_RECORD_BOUNDARY:
    case SSL_R_BAD_RECORD_TYPE:
      return TLS_CAUSE_INAPPROPRIATE_MESSAGE;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_LENGTH_MISMATCH:
    case SSL_R_LENGTH_TOO_SHORT:
    case SSL_R_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH:
    case SSL_R_BAD_PACKET:
    case SSL_R_BAD_PACKET_LENGTH:
    case SSL_R_BAD_LENGTH:
    case SSL_R_BAD_EXTENSION:
    case SSL_R_BAD_HANDSHAKE_LENGTH:
    case SSL_R_BAD_LEGACY_VERSION:
    case SSL_R_PARSE_TLSEXT:
    case SSL_R_CLIENTHELLO_TLSEXT:
    case SSL_R_INVALID_ALERT:
    case SSL_R_UNKNOWN_ALERT_TYPE:
    case SSL_R_INVALID_RECORD:
      return TLS_CAUSE_INVALID_MESSAGE;
    case SSL_R_NO_CERTIFICATE_ASSIGNED:
    case SSL_R_NO_CERTIFICATE_SET:
    case SSL_R_NO_PRIVATE_KEY_ASSIGNED:
      return TLS_CAUSE_NO_CERTIFICATES;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return TLS_CAUSE_CLOSED;
    case SSL_R_BAD_KEY_SHARE:
    case SSL_R_BAD_ECPOINT:
    case SSL_R_BAD_PSK:
    case SSL_R_BAD_PSK_IDENTITY:
    case SSL_R_BAD_KEY_UPDATE:
    case SSL_R_INVALID_KEY_UPDATE_TYPE:
    case SSL_R_TOO_MANY_KEY_UPDATES:
    case SSL_R_TOO_MANY_WARN_ALERTS:
    case SSL_R_RECORD_TOO_SMALL:
    case SSL_R_NO_CHANGE_FOLLOWING_HRR:
    case SSL_R_UNSOLICITED_EXTENSION:
    case SSL_R_WRONG_CIPHER_RETURNED:
    case SSL_R_WRONG_CURVE:
    case SSL_R_WRONG_SIGNATURE_TYPE:
    case SSL_R_INCONSISTENT_EXTMS:
    case SSL_R_RENEGOTIATION_MISMATCH:
    case SSL_R_COMPRESSION_DISABLED:
    case SSL_R_NO_COMPRESSION_SPECIFIED:
    case SSL_R_UNKNOWN_CIPHER_RETURNED:
      return TLS_CAUSE_PEER_MISBEHAVED;
    default:
      return TLS_CAUSE_OTHER;
  }
}

static uint8_t cause_of(tls_session *session) {
  if (session->cause != TLS_CAUSE_NONE) return session->cause;
  if (session->refusal >= 0) return TLS_CAUSE_REFUSED;
  if (session->error != 0) return TLS_CAUSE_SOCKET;
  unsigned long code = ERR_peek_error();
  if (code == 0) return session->eof ? TLS_CAUSE_CLOSED : TLS_CAUSE_OTHER;
  uint8_t cause = ERR_GET_LIB(code) == ERR_LIB_SSL ? cause_of_reason(ERR_GET_REASON(code)) : TLS_CAUSE_OTHER;
  // A malformed message fails in many places of OpenSSL; the alert that it chose says enough.
  if (cause != TLS_CAUSE_OTHER) return cause;
  if (session->alert_received >= 0 && session->alert_sent < 0) return TLS_CAUSE_ALERT_RECEIVED;
  switch (session->alert_sent) {
    case SSL_AD_DECODE_ERROR:
      return TLS_CAUSE_INVALID_MESSAGE;
    case SSL_AD_ILLEGAL_PARAMETER:
      return TLS_CAUSE_PEER_MISBEHAVED;
    case SSL_AD_UNEXPECTED_MESSAGE:
      return TLS_CAUSE_INAPPROPRIATE_HANDSHAKE_MESSAGE;
    case SSL_AD_RECORD_OVERFLOW:
      return TLS_CAUSE_OVERSIZED_RECORD;
    case SSL_AD_BAD_RECORD_MAC:
    case SSL_AD_DECRYPT_ERROR:
      return TLS_CAUSE_DECRYPT_ERROR;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_MISSING_EXTENSION:
      return TLS_CAUSE_PEER_INCOMPATIBLE;
    default:
      return TLS_CAUSE_OTHER;
  }
}

/** After a failed OpenSSL call: the session is broken from here on, and the error queue empty. */
void tls_note_failure(tls_session *session) {
  session->cause = cause_of(session);
  session->reason = (int32_t)ERR_GET_REASON(ERR_peek_error());
  session->state = TLS_BROKEN;
  ERR_clear_error();
}

/** Into the registers: cause, alert sent, alert received, OpenSSL's reason, errno. */
void tls_store_failure(const tls_session *session) {
  regs[REG_EXTRA] = session->cause;
  regs[REG_EXTRA + 1] = session->alert_sent;
  regs[REG_EXTRA + 2] = session->alert_received;
  regs[REG_EXTRA + 3] = session->reason;
  regs[REG_EXTRA + 4] = session->error;
}

void tls_reason_text(const char *text) { snprintf(reason_text, sizeof reason_text, "%s", text); }

/** Keeps what OpenSSL says about a refusal (its last error), and empties its queue. */
void tls_set_reason(const char *what) {
  unsigned long code = ERR_peek_last_error();
  const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
  if (reason == NULL) snprintf(reason_text, sizeof reason_text, "%s", what);
  else snprintf(reason_text, sizeof reason_text, "%s: %s", what, reason);
  ERR_clear_error();
}

size_t tls_copy_reason(uint8_t *data, size_t length) {
  size_t size = strlen(reason_text);
  if (size > length) size = length;
  memcpy(data, reason_text, size);
  return size;
}
