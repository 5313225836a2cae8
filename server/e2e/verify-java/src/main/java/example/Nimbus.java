package example;

import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.ConfigurableJWTProcessor;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.Set;

/** Verifies access tokens with Nimbus JOSE + JWT: reads one token per line, writes one answer per line. */
public class Nimbus {
  static ConfigurableJWTProcessor<SecurityContext> verifier() throws Exception {
    var keys = JWKSourceBuilder.create(URI.create("http://127.0.0.1:8080/.well-known/jwks.json").toURL()).build();
    var verifier = new DefaultJWTProcessor<SecurityContext>();
    verifier.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
    verifier.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.ES256, keys));
    verifier.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
        "http://127.0.0.1:8080", // aud
        new JWTClaimsSet.Builder().issuer("http://127.0.0.1:8080").build(),
        Set.of("exp", "sub", "scope")));
    return verifier;
  }

  public static void main(String[] args) throws Exception {
    var verifier = verifier();
    var input = new BufferedReader(new InputStreamReader(System.in));
    for (String accessToken; (accessToken = input.readLine()) != null; ) {
      try {
        JWTClaimsSet claims = verifier.process(accessToken, null);
        System.out.println("accepted: " + claims.getSubject() + " " + claims.getStringClaim("scope"));
      } catch (Exception refused) {
        System.out.println("refused: " + refused.getMessage());
      }
    }
  }
}
