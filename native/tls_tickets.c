// Session tickets without a cache: a ring of keys for the whole process, newest first. The newest encrypts; the others
// decrypt and ask for a new ticket. Processes with the same keys accept each other's tickets.
#include "tls.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

enum { KEYS_MAX = 16, KEY_BYTES = 80, NAME_BYTES = 16, SECRET_BYTES = 32, IV_BYTES = 16 };

typedef struct {
  uint8_t name[NAME_BYTES];
  uint8_t encryption[SECRET_BYTES];
  uint8_t authentication[SECRET_BYTES];
} ticket_key;

static ticket_key keys[KEYS_MAX];
static size_t key_count = 0;

// (bytes): 80 bytes a key (name, AES-256 key, HMAC-SHA256 key), newest first, at most 16; none: no tickets.
VALUE_CALL(set_ticket_keys) {
  napi_value value;
  uint8_t *data;
  size_t length;
  if (!read_arguments(env, info, 1, &value) || !read_bytes(env, value, &data, &length)) return make_int(env, -EINVAL);
  if (length % KEY_BYTES != 0 || length > KEYS_MAX * KEY_BYTES) return make_int(env, -EINVAL);
  OPENSSL_cleanse(keys, sizeof keys);
  if (length > 0) memcpy(keys, data, length);
  key_count = length / KEY_BYTES;
  return make_int(env, (int32_t)key_count);
}

static bool start_authentication(EVP_MAC_CTX *mac, ticket_key *key) {
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->authentication, SECRET_BYTES),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/** 0: no ticket or not ours; 1: done; 2: done, make a new one; -1: failed. */
int tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int make) {
  static EVP_CIPHER *algorithm;
  if (key_count == 0) return 0;
  if (algorithm == NULL) algorithm = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
  if (algorithm == NULL) return -1;
  if (make) {
    if (RAND_bytes(iv, IV_BYTES) != 1) return -1;
    memcpy(name, keys[0].name, NAME_BYTES);
    if (EVP_EncryptInit_ex2(cipher, algorithm, keys[0].encryption, iv, NULL) != 1) return -1;
    return start_authentication(mac, &keys[0]) ? 1 : -1;
  }
  for (size_t i = 0; i < key_count; i++) {
    if (memcmp(keys[i].name, name, NAME_BYTES) != 0) continue;
    if (!start_authentication(mac, &keys[i])) return -1;
    if (EVP_DecryptInit_ex2(cipher, algorithm, keys[i].encryption, iv, NULL) != 1) return -1;
    // A ticket of TLS 1.3 is used once, so that nobody can link the connections of a client (RFC 8446 C.4).
    return i == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
  }
  return 0;
}

const native_function tls_ticket_functions[] = {
    {"tlsTicketKeys", set_ticket_keys},
    END_OF_FUNCTIONS,
};
