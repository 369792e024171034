/* A device that shares no code with the bridge: wolfSSL, mutual TLS 1.3, and MQTT 3.1.1 by hand. Publishes one message with
 * QoS 1 and leaves when the broker has confirmed it.
 *
 * Usage: wolfssl_device PORT CA CERT KEY TOPIC PAYLOAD
 */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what) {
    fprintf(stderr, "wolfssl_device: %s\n", what);
    return 1;
}

static size_t string(unsigned char *out, const char *text) {
    size_t length = strlen(text);
    out[0] = (unsigned char)(length >> 8);
    out[1] = (unsigned char)length;
    memcpy(out + 2, text, length);
    return length + 2;
}

static int sent(WOLFSSL *tls, const unsigned char *bytes, size_t length) {
    return wolfSSL_write(tls, bytes, (int)length) == (int)length;
}

static int got(WOLFSSL *tls, unsigned char *bytes, int length) {
    for (int at = 0; at < length;) {
        int read = wolfSSL_read(tls, bytes + at, length - at);
        if (read <= 0) return 0;
        at += read;
    }
    return 1;
}

int main(int count, char **words) {
    if (count != 7 || strlen(words[5]) + strlen(words[6]) > 100) return fail("wrong usage");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int line = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(line, (struct sockaddr *)&address, sizeof address) != 0) return fail("no connection");

    wolfSSL_Init();
    WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    if (!context) return fail("no context");
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_PEER, NULL);
    if (wolfSSL_CTX_load_verify_locations(context, words[2], NULL) != WOLFSSL_SUCCESS) return fail("bad CA");
    if (wolfSSL_CTX_use_certificate_file(context, words[3], WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) return fail("bad certificate");
    if (wolfSSL_CTX_use_PrivateKey_file(context, words[4], WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) return fail("bad key");
    WOLFSSL *tls = wolfSSL_new(context);
    wolfSSL_check_domain_name(tls, "localhost");
    wolfSSL_set_fd(tls, line);
    if (wolfSSL_connect(tls) != WOLFSSL_SUCCESS) return fail("handshake failed");
    printf("wolfSSL %s: %s %s\n", wolfSSL_lib_version(), wolfSSL_get_version(tls), wolfSSL_get_cipher(tls));

    unsigned char out[256] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60}, in[4];
    size_t end = 12 + string(out + 12, "wolfssl-device");
    out[1] = (unsigned char)(end - 2);
    if (!sent(tls, out, end) || !got(tls, in, 4) || in[0] != 0x20 || in[3] != 0) return fail("no CONNACK");

    out[0] = 0x32;
    end = 2 + string(out + 2, words[5]);
    out[end++] = 0;
    out[end++] = 1;
    memcpy(out + end, words[6], strlen(words[6]));
    end += strlen(words[6]);
    out[1] = (unsigned char)(end - 2);
    if (end - 2 > 127) return fail("too long");
    if (!sent(tls, out, end) || !got(tls, in, 4) || in[0] != 0x40 || in[3] != 1) return fail("no PUBACK");

    const unsigned char bye[] = {0xe0, 0};
    sent(tls, bye, sizeof bye);
    wolfSSL_shutdown(tls);
    wolfSSL_free(tls);
    wolfSSL_CTX_free(context);
    wolfSSL_Cleanup();
    close(line);
    return 0;
}
