// Identities: a certificate, its chain and its key, parsed once and given to sessions by reference. Everything that
// OpenSSL could dislike about one is found when it is made: it is first given to a session that never runs.
#include "tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

enum { PEM_BYTES_MAX = 1048576, CHAIN_MAX = 16, STAPLE_BYTES_MAX = 16384 };

static void free_identity(tls_identity *identity) {
  if (identity == NULL) return;
  X509_free(identity->certificate);
  sk_X509_pop_free(identity->chain, X509_free);
  EVP_PKEY_free(identity->key);
  free(identity->staple);
  free(identity);
}

// A key with a passphrase is refused, not asked for on the terminal.
static int no_passphrase(char *data, int length, int is_write, void *argument) { return -1; }

static EVP_PKEY *read_key(const uint8_t *pem, size_t length) {
  BIO *bio = BIO_new_mem_buf(pem, (int)length);
  if (bio == NULL) return NULL;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
  BIO_free(bio);
  return key;
}

// Thousands of certificates have the same few issuers: one parsed copy of each of the last ones is shared.
static X509 *share(X509 *issuer) {
  enum { KNOWN = 32 };
  static X509 *known[KNOWN];
  static unsigned next;
  for (unsigned i = 0; i < KNOWN; i++) {
    if (known[i] == NULL || X509_cmp(known[i], issuer) != 0) continue;
    X509_free(issuer);
    X509_up_ref(known[i]);
    return known[i];
  }
  X509_free(known[next]);
  X509_up_ref(issuer);
  known[next] = issuer;
  next = (next + 1) % KNOWN;
  return issuer;
}

/** The certificates of a text, pushed to the chain; the first becomes the leaf when there is none yet. */
static bool read_certificates(tls_identity *identity, const uint8_t *pem, size_t length) {
  BIO *bio = BIO_new_mem_buf(pem, (int)length);
  if (bio == NULL) return false;
  bool good = true;
  while (good) {
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (certificate == NULL) break;
    if (identity->certificate == NULL) {
      identity->certificate = certificate;
    } else if (X509_cmp(identity->certificate, certificate) == 0) {
      X509_free(certificate);
    } else {
      certificate = share(certificate);
      good = sk_X509_num(identity->chain) < CHAIN_MAX && sk_X509_push(identity->chain, certificate) > 0;
      if (!good) X509_free(certificate);
    }
  }
  unsigned long code = ERR_peek_last_error();
  if (good && code != 0) {
    good = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (good) ERR_clear_error();
  }
  BIO_free(bio);
  return good;
}

bool tls_apply_identity(SSL *ssl, const tls_identity *identity) {
  return SSL_use_cert_and_key(ssl, identity->certificate, identity->key, identity->chain, 1) == 1;
}

static bool try_identity(const tls_identity *identity) {
  static SSL *probe;
  if (probe == NULL) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    probe = ctx == NULL ? NULL : SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (probe == NULL) return false;
  }
  bool good = tls_apply_identity(probe, identity);
  SSL_certs_clear(probe);
  return good;
}

static const char *read_identity(tls_identity *identity, const uint8_t *const texts[3], const size_t lengths[3]) {
  identity->chain = sk_X509_new_null();
  if (identity->chain == NULL) return "memory";
  if (!read_certificates(identity, texts[0], lengths[0])) return "certificate";
  if (identity->certificate == NULL) return "no certificate in the text";
  if (!read_certificates(identity, texts[1], lengths[1])) return "certificate chain";
  identity->key = read_key(texts[2], lengths[2]);
  if (identity->key == NULL) return "private key";
  if (X509_check_private_key(identity->certificate, identity->key) != 1) return "key and certificate";
  return try_identity(identity) ? NULL : "certificate not usable";
}

// (certificate PEM, chain PEM, key PEM): handle, -EPROTO with a reason, or another -errno.
VALUE_CALL(create_identity) {
  napi_value values[3];
  uint8_t *data;
  const uint8_t *texts[3];
  size_t lengths[3];
  if (!read_arguments(env, info, 3, values)) return make_int(env, -EINVAL);
  for (int i = 0; i < 3; i++) {
    if (!read_bytes(env, values[i], &data, &lengths[i]) || lengths[i] > PEM_BYTES_MAX) return make_int(env, -EINVAL);
    texts[i] = data == NULL ? (const uint8_t *)"" : data;
  }
  tls_identity *identity = calloc(1, sizeof *identity);
  if (identity == NULL) return make_int(env, -ENOMEM);
  ERR_clear_error();
  const char *trouble = read_identity(identity, texts, lengths);
  if (trouble != NULL) {
    tls_set_reason(trouble);
    free_identity(identity);
    return make_int(env, -EPROTO);
  }
  ERR_clear_error();
  int32_t handle = tls_table_add(&tls_identities, identity);
  if (handle < 0) free_identity(identity);
  return make_int(env, handle);
}

// (handle): sessions that use it go on.
REGISTER_CALL(destroy_identity) {
  tls_identity *identity = tls_table_remove(&tls_identities, regs[REG_A]);
  free_identity(identity);
  regs[REG_RESULT] = identity == NULL ? -EBADF : 0;
  return NULL;
}

// (handle, DER of an OCSP response or nothing)
VALUE_CALL(set_staple) {
  napi_value values[2];
  int32_t handle;
  uint8_t *data;
  size_t length;
  if (!read_arguments(env, info, 2, values) || !read_int(env, values[0], &handle)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[1], &data, &length) || length > STAPLE_BYTES_MAX) return make_int(env, -EINVAL);
  tls_identity *identity = tls_table_get(&tls_identities, handle);
  if (identity == NULL) return make_int(env, -EBADF);
  uint8_t *copy = NULL;
  if (length > 0) {
    copy = malloc(length);
    if (copy == NULL) return make_int(env, -ENOMEM);
    memcpy(copy, data, length);
  }
  free(identity->staple);
  identity->staple = copy;
  identity->staple_length = length;
  return make_int(env, 0);
}

const native_function tls_identity_functions[] = {
    {"tlsCreateIdentity", create_identity},
    {"tlsDestroyIdentity", destroy_identity},
    {"tlsSetStaple", set_staple},
    END_OF_FUNCTIONS,
};
