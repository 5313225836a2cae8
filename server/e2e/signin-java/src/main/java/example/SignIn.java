package example;

import java.time.Duration;
import java.time.Instant;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.client.OAuth2AuthorizationContext;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.RefreshTokenOAuth2AuthorizedClientProvider;
import org.springframework.security.oauth2.client.oidc.web.logout.OidcClientInitiatedLogoutSuccessHandler;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.OAuth2AuthorizedClientRepository;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.servlet.view.RedirectView;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;

/** An application that signs people in. The client is in the settings that the test passes. */
@SpringBootApplication
@RestController
public class SignIn {
  private final OAuth2AuthorizedClientRepository clients;

  SignIn(OAuth2AuthorizedClientRepository clients) {
    this.clients = clients;
  }

  public static void main(String[] args) {
    SpringApplication.run(SignIn.class, args);
  }

  @Bean
  SecurityFilterChain security(HttpSecurity http, ClientRegistrationRepository registrations) {
    var signedOut = new OidcClientInitiatedLogoutSuccessHandler(registrations);
    signedOut.setPostLogoutRedirectUri("{baseUrl}/bye");
    return http
        .authorizeHttpRequests(all -> all.requestMatchers("/bye").permitAll().anyRequest().authenticated())
        .oauth2Login(login -> {})
        .logout(logout -> logout.logoutSuccessHandler(signedOut))
        .build();
  }

  @GetMapping("/")
  String home(@AuthenticationPrincipal OidcUser person) {
    return "Hello " + person.getUserInfo().getPreferredUsername();
  }

  @GetMapping("/sign-in")
  RedirectView signIn() {
    return new RedirectView("/oauth2/authorization/sesame");
  }

  /** Lets the library believe that the access token is about to expire. */
  @GetMapping("/refresh")
  RedirectView refresh(Authentication person, HttpServletRequest request, HttpServletResponse response) {
    OAuth2AuthorizedClient before = clients.loadAuthorizedClient("sesame", person, request);
    var provider = new RefreshTokenOAuth2AuthorizedClientProvider();
    provider.setClockSkew(Duration.between(Instant.now(), before.getAccessToken().getExpiresAt()).plusMinutes(1));
    var after = provider.authorize(OAuth2AuthorizationContext.withAuthorizedClient(before).principal(person).build());
    if (after.getRefreshToken().getTokenValue().equals(before.getRefreshToken().getTokenValue())) {
      throw new IllegalStateException("the refresh token was not replaced");
    }
    clients.saveAuthorizedClient(after, person, request, response);
    return new RedirectView("/");
  }

  @GetMapping("/bye")
  String bye() {
    return "Bye";
  }
}
