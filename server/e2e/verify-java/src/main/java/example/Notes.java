package example;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A service that accepts access tokens, with the configuration of the guide. */
@SpringBootApplication
@RestController
public class Notes {
  public static void main(String[] args) {
    SpringApplication.run(Notes.class, args);
  }

  @GetMapping("/notes")
  String notes(@AuthenticationPrincipal Jwt accessToken) {
    return accessToken.getSubject() + " " + accessToken.getClaimAsString("scope");
  }
}
