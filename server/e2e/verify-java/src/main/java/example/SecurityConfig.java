package example;

import java.util.Objects;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;

@Configuration
class SecurityConfig {
  @Bean
  JwtDecoder jwtDecoder() {
    var decoder = NimbusJwtDecoder.withJwkSetUri("http://127.0.0.1:8080/.well-known/jwks.json")
        .jwsAlgorithm(SignatureAlgorithm.ES256) // the default is RS256
        .validateType(false) // the validator below checks typ; the default accepts only "JWT"
        .build();
    decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
        .issuer("http://127.0.0.1:8080")
        .audience("http://127.0.0.1:8080")
        .validators(all -> all.put("client_id", new JwtClaimValidator<>("client_id", Objects::nonNull))) // any client
        .build());
    return decoder;
  }

  @Bean
  SecurityFilterChain security(HttpSecurity http) throws Exception {
    return http
        .authorizeHttpRequests(requests -> requests
            .requestMatchers("/notes").hasAuthority("SCOPE_me:read") // one authority for each scope
            .anyRequest().denyAll())
        .oauth2ResourceServer(server -> server.jwt(Customizer.withDefaults()))
        .build();
  }
}
